/**
 * Which test images a network classifies right, as base64 text: image i is bit i % 8 (the lowest is
 * bit 0) of byte floor(i / 8); bits beyond the last image are 0.
 */
export function encodeCorrect(right: ArrayLike<boolean | number>): string {
  const bytes = new Uint8Array(Math.ceil(right.length / 8));
  for (let i = 0; i < right.length; i++)
    if (right[i]) bytes[i >> 3] = (bytes[i >> 3] ?? 0) | (1 << (i & 7));
  return Buffer.from(bytes).toString("base64");
}

/**
 * The bits that `encodeCorrect` wrote.
 *
 * @returns four bytes a word, as many as there are; what is left of the last word is 0. Which image
 *   is which bit depends on the machine: words are for counting and comparing
 * @throws RangeError when the text is not the one that so many images have
 */
export function decodeCorrect(text: string, images: number): Uint32Array {
  const bytes = Buffer.from(text, "base64");
  const expected = Math.ceil(images / 8);
  // Node reads past what is not base64; only what would be written again is accepted.
  if (bytes.toString("base64") !== text) throw new RangeError("it is not base64 in its usual form");
  if (bytes.length !== expected)
    throw new RangeError(
      `it holds ${String(bytes.length)} bytes where ${String(images)} images take ${String(expected)}`,
    );
  const unused = expected * 8 - images;
  if (unused > 0 && (bytes[expected - 1] ?? 0) >> (8 - unused) !== 0)
    throw new RangeError("it has bits set beyond the last image");
  const words = new Uint32Array(Math.ceil(expected / 4));
  new Uint8Array(words.buffer).set(bytes);
  return words;
}

/** How many bits of a word are set: sums of pairs, of fours, of bytes, and all bytes by a product. */
export function bitCount(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** How many bits are set. */
export const countBits = (words: Uint32Array): number =>
  words.reduce((sum, word) => sum + bitCount(word), 0);
