import { mean, meanMargin } from "./statistics/moments.js";

/** 0.8764 -> "87.64" */
export const percent = (share: number, digits = 2): string => (100 * share).toFixed(digits);

/** Percentage points lost, with a sign: 0.0123 -> "−1.23", a gain "+0.10". */
export function points(drop: number, digits = 2): string {
  const value = -100 * drop;
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return `±${text}`;
  return `${value < 0 ? "−" : "+"}${text}`;
}

/** Accuracies are never known better than to a hundredth of a percent. */
const MOST_DIGITS = 2;

/** Digits after the point that an uncertainty of this size leaves: two that count, 0 to 2. */
export const digitsFor = (margin: number): number =>
  margin > 0 ? Math.min(MOST_DIGITS, Math.max(0, 1 - Math.floor(Math.log10(margin)))) : MOST_DIGITS;

/** A difference as a share of images, and half of its interval: "−1.24 ± 0.35" points. */
export function pointsWithMargin(difference: number, margin: number): string {
  const digits = digitsFor(100 * margin);
  return `${points(-difference, digits)} ± ${percent(margin, digits)}`;
}

/** "1.12", or over several seeds "1.12 ± 0.05" with half of the mean's 95 % interval. */
export function meanOverSeeds(values: readonly number[]): string {
  const margin = meanMargin(values);
  const digits = margin === undefined ? MOST_DIGITS : digitsFor(margin);
  const text = mean(values).toFixed(digits);
  return margin === undefined ? text : `${text} ± ${margin.toFixed(digits)}`;
}

/** Shares as percentages: "87.64 ± 0.12". */
export const percentOverSeeds = (shares: readonly number[]): string =>
  meanOverSeeds(shares.map((share) => 100 * share));

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** 84216 -> "82.2 KiB" */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  for (; value >= 1024 && unit < BYTE_UNITS.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? String(Math.round(value)) : value.toFixed(1)} ${BYTE_UNITS[unit] ?? ""}`;
}

const PREFIXES = ["", "k", "M", "G", "T", "P"] as const;

/** Three significant digits with a prefix: 12502000 -> "12.5 M" */
export function prefixed(count: number): string {
  let value = count;
  let prefix = 0;
  for (; value >= 999.5 && prefix < PREFIXES.length - 1; prefix++) value /= 1000;
  return `${String(Number(value.toPrecision(3)))} ${PREFIXES[prefix] ?? ""}`.trimEnd();
}

/** Three significant digits: 0.1234 -> "0.123 ms" */
export const milliseconds = (value: number): string => `${value.toPrecision(3)} ms`;
