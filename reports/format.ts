/** 0.8764 -> "87.64" */
export const percent = (share: number, digits = 2): string => (100 * share).toFixed(digits);

/** Percentage points lost, with a sign: 0.0123 -> "−1.23", a gain "+0.10". */
export function points(drop: number, digits = 2): string {
  const value = -100 * drop;
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return `±${text}`;
  return `${value < 0 ? "−" : "+"}${text}`;
}

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

/** "87.64", or "87.64 ± 0.12" over several seeds. */
export function percentOverSeeds(shares: readonly number[]): string {
  const deviation = standardDeviation(shares);
  const center = percent(mean(shares));
  return deviation === undefined ? center : `${center} ± ${percent(deviation)}`;
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** 84216 -> "82.2 KiB" */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  for (; value >= 1024 && unit < BYTE_UNITS.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? String(Math.round(value)) : value.toFixed(1)} ${BYTE_UNITS[unit] ?? ""}`;
}

/** Three significant digits: 0.1234 -> "0.123 ms" */
export const milliseconds = (value: number): string => `${value.toPrecision(3)} ms`;
