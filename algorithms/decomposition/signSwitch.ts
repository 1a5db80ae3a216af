/** How coefficients follow a training that never leaves powers of two. */
export interface SwitchOptions {
  /** Steps up to this count as none. */
  readonly threshold: number;
  /** A coefficient changes once so many more steps went one way than the other. */
  readonly bar: number;
  /** Magnitudes, powers of two: what an unmasked zero becomes, and the ends of the range. */
  readonly smallest: number;
  readonly largest: number;
}

export interface Switched {
  readonly coefficients: Float32Array;
  readonly counters: Float32Array;
}

/**
 * One step of SmartDeal's training: the signs of an optimizer's steps are counted, and at the bar a coefficient
 * moves by an octave; up where it is positive and is to grow, or negative and is to fall.
 *
 * @param mask 0 for coefficients that stay 0
 */
export function signSwitch(
  {
    coefficients,
    counters,
    steps,
    mask,
  }: Switched & { readonly steps: Float32Array; readonly mask: Float32Array },
  { threshold, bar, smallest, largest }: SwitchOptions,
): Switched {
  const next = { coefficients: coefficients.slice(), counters: counters.slice() };
  steps.forEach((step, i) => {
    if (mask[i] === 0 || Math.abs(step) <= threshold) return;
    const count = (counters[i] ?? 0) + Math.sign(step);
    next.counters[i] = Math.abs(count) < bar ? count : 0;
    if (Math.abs(count) < bar) return;
    const value = coefficients[i] ?? 0;
    if (value === 0) {
      next.coefficients[i] = Math.sign(count) * smallest;
      return;
    }
    const magnitude = Math.abs(value) * (Math.sign(count) === Math.sign(value) ? 2 : 0.5);
    next.coefficients[i] = Math.sign(value) * Math.min(largest, Math.max(smallest, magnitude));
  });
  return next;
}
