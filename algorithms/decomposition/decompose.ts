import {
  distance,
  leastSquaresBasis,
  leastSquaresRows,
  ORDER,
  product,
  type Rows,
} from "./matrix.js";
import { nearestExponent, nearestPower } from "./powerOfTwo.js";

export interface DecompositionOptions {
  /** Coefficients below it become 0. */
  readonly threshold: number;
  /** Whether rows whose magnitudes add up to less than five thresholds become 0, too. */
  readonly rowRule?: boolean;
  /** How many exponents a block's coefficients may have, the largest and those below; all if absent. */
  readonly exponents?: number;
}

/** A is about Q B. */
export interface Decomposition {
  /** [rows, 3], 0 or signed powers of two. */
  readonly coefficients: Rows;
  /** [3, 3] */
  readonly basis: Rows;
  /** ||A - Q B||, Frobenius. */
  readonly error: number;
}

const ITERATIONS = 30;
const UNCHANGED = 1e-10;
const ROW_RULE = 5;

/**
 * Writes a block [rows, 3] as sparse powers of two times a small basis: rounds and fits in turns. Of the
 * iterates whose coefficients obey the thresholds it gives the best.
 */
export function decompose(block: Rows, options: DecompositionOptions): Decomposition {
  const { exponents } = options;
  let coefficients = roundToPowers(block, exponents);
  let best = fit(roundToPowers(withoutSmall(block, options), exponents), block);
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    const basis = leastSquaresBasis(coefficients, block);
    const exact = leastSquaresRows(basis, block);
    const next = roundToPowers(withoutSmall(exact, options), exponents);
    const fitted = fit(next, block);
    if (fitted.error < best.error) best = fitted;
    if (distance(next, coefficients) <= UNCHANGED) break;
    coefficients = next;
  }
  return best;
}

/** The best basis for coefficients. */
export function fit(coefficients: Rows, block: Rows): Decomposition {
  const basis = leastSquaresBasis(coefficients, block);
  return { coefficients, basis, error: distance(block, product(coefficients, basis)) };
}

/** Each coefficient as the nearest power of two; those below a block's exponents as the last or as 0. */
export function roundToPowers(values: Rows, exponents = Infinity): Rows {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest === 0) return values.slice();
  const least = 2 ** (nearestExponent(largest) - exponents + 1);
  return values.map((value) => {
    const power = nearestPower(value);
    if (Math.abs(power) >= least) return power;
    return Math.abs(value) > least / 2 ? Math.sign(value) * least : 0;
  });
}

function withoutSmall(values: Rows, { threshold, rowRule = false }: DecompositionOptions): Rows {
  const kept = values.map((value) => (Math.abs(value) < threshold ? 0 : value));
  if (!rowRule) return kept;
  for (let at = 0; at < values.length; at += ORDER) {
    const sum = values
      .subarray(at, at + ORDER)
      .reduce((total, value) => total + Math.abs(value), 0);
    if (sum < ROW_RULE * threshold) kept.fill(0, at, at + ORDER);
  }
  return kept;
}
