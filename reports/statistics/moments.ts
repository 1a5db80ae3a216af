import jstat from "jstat";

/** Probability that an interval covers what it is for. */
export const CONFIDENCE = 0.95;

export function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** Standard deviation of a sample (n - 1); undefined for fewer than two values. */
export function standardDeviation(values: readonly number[]): number | undefined {
  if (values.length < 2) return undefined;
  const center = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - center) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}

/** Half the width of the t interval of a mean; undefined for fewer than two values. */
export function meanMargin(values: readonly number[]): number | undefined {
  const deviation = standardDeviation(values);
  if (deviation === undefined) return undefined;
  const quantile = jstat.jStat.studentt.inv((1 + CONFIDENCE) / 2, values.length - 1);
  return (quantile * deviation) / Math.sqrt(values.length);
}
