/** Statistics are read by people: six digits are enough. */
export const rounded = (value: number): number => Number(value.toPrecision(6));

/** Values less than so many steps apart are on the same level. */
const DIFFERENT_LEVEL = 0.25;
/** So near to the border between two levels, in steps, the order of float32 sums decides. */
const TIE = 0.01;

/** What an image's values at a site are: the simulation's, others by ties alone, or others. */
export const CAUSES = { equal: 0, tie: 1, other: 2 } as const;

/** Values of a batch at one site, image by image. */
export interface Compared {
  readonly images: number;
  /** Before quantization, in the simulation. */
  readonly x: ArrayLike<number>;
  /** After it, in the simulation. */
  readonly expected: ArrayLike<number>;
  /** On a runtime. */
  readonly found: ArrayLike<number>;
}

/** How many values are on another level, how many of them by ties, and how far. */
export class Divergence {
  readonly #step: number;
  #differing = 0;
  #tied = 0;
  #compared = 0;
  #largest = 0;

  constructor(step: number) {
    this.#step = step;
  }

  /** @returns for each image one of CAUSES */
  compare({ images, x, expected, found }: Compared): Uint8Array {
    const causes = new Uint8Array(images);
    const size = expected.length / images;
    for (let i = 0; i < expected.length; i++) {
      const [wanted, got] = [expected[i] ?? 0, found[i] ?? NaN];
      const steps = Math.abs(wanted - got) / this.#step;
      if (steps > this.#largest) this.#largest = steps;
      if (steps <= DIFFERENT_LEVEL) continue;
      const image = Math.floor(i / size);
      // The border lies halfway between neighbors; between levels farther apart no value of the first does.
      const isTie = Math.abs((x[i] ?? NaN) - (wanted + got) / 2) <= TIE * this.#step;
      this.#differing++;
      if (isTie) this.#tied++;
      causes[image] = Math.max(causes[image] ?? 0, isTie ? CAUSES.tie : CAUSES.other);
    }
    this.#compared += expected.length;
    return causes;
  }

  get found(): boolean {
    return this.#compared > 0;
  }
  get share(): number {
    return rounded(this.#differing / this.#compared);
  }
  get ties(): number {
    return rounded(this.#tied / this.#compared);
  }
  get largestSteps(): number {
    return Math.round(this.#largest * 1000) / 1000;
  }
}

/** How many images a runtime computes otherwise than the simulation, by what comes first. */
export interface Partings {
  /** Where sums of float32 that are as good as equal fell on two sides of a border. */
  readonly byTies: number;
  readonly otherwise: number;
}

/** Counts images by what the first site is like, in the order of the network, that differs. */
export class PartingCounter {
  #byTies = 0;
  #otherwise = 0;

  /** @param sites causes by image, of one batch, in the order of the network */
  add(sites: readonly Uint8Array[]): void {
    for (let image = 0; image < (sites[0]?.length ?? 0); image++) {
      const first = sites.find((causes) => causes[image] !== CAUSES.equal)?.[image];
      if (first === CAUSES.tie) this.#byTies++;
      if (first === CAUSES.other) this.#otherwise++;
    }
  }

  result(): Partings {
    return { byTies: this.#byTies, otherwise: this.#otherwise };
  }
}
