/** What is left of the number drawn last. */
export interface BitPosition {
  readonly word: number;
  /** Bits of it that were not used. */
  readonly left: number;
}

/** One random bit after another, 0 or 1, of 31 in each number drawn. */
export class RandomBits {
  readonly #number: () => number;
  #word: number;
  #left: number;

  /** @param number draws one below 2 ** 31 */
  constructor(number: () => number, { word, left }: BitPosition = { word: 0, left: 0 }) {
    this.#number = number;
    this.#word = word;
    this.#left = left;
  }

  readonly draw = (): number => {
    if (this.#left === 0) [this.#word, this.#left] = [this.#number(), 31];
    const bit = this.#word & 1;
    this.#word >>>= 1;
    this.#left -= 1;
    return bit;
  };

  get position(): BitPosition {
    return { word: this.#word, left: this.#left };
  }
}
