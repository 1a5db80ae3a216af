/** Bits of the stored codes: all narrower ones are their first bits. */
export const TOP_BITS = 8;

/** The code at a lower width: its last bits are dropped, towards minus infinity. */
export const codeAt = (code: number, bits: number): number => code >> (TOP_BITS - bits);

/**
 * Where a code's value lies between the code and the next one, in steps: in the middle of what the dropped
 * bits may say.
 */
export const centerOf = (bits: number): number => (1 - 2 ** (bits - TOP_BITS)) / 2;

/**
 * Codes as planes of one bit each, the sign first: the first `bits` planes are the codes of that width, and
 * every further plane makes them one bit wider.
 *
 * @param codes from -128 to 127
 * @returns TOP_BITS planes of ceil(codes / 8) bytes; code i is bit i % 8 of byte i / 8
 * @throws RangeError for a code that 8 bits do not hold
 */
export function packPlanes(codes: ArrayLike<number>): readonly Uint8Array[] {
  const planes = Array.from(
    { length: TOP_BITS },
    () => new Uint8Array(Math.ceil(codes.length / 8)),
  );
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i] ?? NaN;
    if (!Number.isInteger(code) || code < -(2 ** (TOP_BITS - 1)) || code >= 2 ** (TOP_BITS - 1))
      throw new RangeError(`code ${String(code)} is none of ${String(TOP_BITS)} bits`);
    planes.forEach((plane, p) => {
      const bit = (code >> (TOP_BITS - 1 - p)) & 1;
      plane[i >> 3] = (plane[i >> 3] ?? 0) | (bit << (i & 7));
    });
  }
  return planes;
}

/** The codes that some first planes hold, as signed numbers of as many bits. */
export function unpackPlanes(planes: readonly Uint8Array[], count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) =>
    planes.reduce((code, plane, p) => {
      const bit = ((plane[i >> 3] ?? 0) >> (i & 7)) & 1;
      return p === 0 ? -bit : 2 * code + bit;
    }, 0),
  );
}
