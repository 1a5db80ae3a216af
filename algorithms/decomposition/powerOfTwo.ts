/** The largest magnitude that a coefficient may have is 2 to this. */
const LARGEST_EXPONENT = 5;

/** floor(log2 x) of a positive number, from its bits: a logarithm differs between machines. */
export function floorExponent(x: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  return ((view.getUint16(0) >> 4) & 0x7ff) - 1023;
}

/**
 * Exponent of the power of two that is nearest to a magnitude in linear distance, the smaller one on a tie,
 * and 5 at most. NASA rounds the logarithm instead: the two differ between 1.414 and 1.5 times a power.
 *
 * @param magnitude > 0
 */
export function nearestExponent(magnitude: number): number {
  const exponent = floorExponent(magnitude);
  const nearest = magnitude > 1.5 * 2 ** exponent ? exponent + 1 : exponent;
  return Math.min(nearest, LARGEST_EXPONENT);
}

/** The signed power of two that is nearest to a number in linear distance; 0 stays 0. */
export function nearestPower(x: number): number {
  return x === 0 ? 0 : Math.sign(x) * 2 ** nearestExponent(Math.abs(x));
}
