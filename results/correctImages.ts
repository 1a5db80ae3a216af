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
 * @returns bytes, as described there
 * @throws RangeError when the text is not the one that so many images have
 */
export function decodeCorrect(text: string, images: number): Uint8Array {
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
  return new Uint8Array(bytes);
}

/** How many bits of each byte are set. */
const BIT_COUNTS = new Uint8Array(256);
for (let byte = 1; byte < 256; byte++) BIT_COUNTS[byte] = (byte & 1) + (BIT_COUNTS[byte >> 1] ?? 0);

/** How many bits are set. */
export function countBits(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += BIT_COUNTS[byte] ?? 0;
  return sum;
}

/** How many bits are set in both. */
export function commonBits(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += BIT_COUNTS[(a[i] ?? 0) & (b[i] ?? 0)] ?? 0;
  return sum;
}
