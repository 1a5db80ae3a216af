// What the command line's option values must look like.
import { InvalidArgumentError } from "commander";
import { CELL_PROPERTIES } from "../running/index.js";

/** A whole number from 1. */
export const positive = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError("It must be a whole number from 1.");
  return value;
};

/** Percentage points, more than 0 and no more than all. */
export const points = (text: string): number => {
  const value = Number(text);
  if (!(value > 0 && value <= 100) || text.trim() === "")
    throw new InvalidArgumentError(
      "It must be a number of percentage points above 0, such as 0.5.",
    );
  return value;
};

/** "2/8" -> the second of eight parts. */
export const shard = (text: string): { readonly index: number; readonly of: number } => {
  const [, index, of] = (/^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? []).map(Number);
  if (index === undefined || of === undefined || index < 1 || index > of)
    throw new InvalidArgumentError("It must be I/N, such as 2/8 for the second of eight parts.");
  return { index, of };
};

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, min: 60, h: 3600, d: 86_400 };
/** Longer than timers can wait. */
const MOST_SECONDS = 24 * 86_400;

/** "90s", "30m", "1.5h" -> seconds. */
export const timeSpan = (text: string): number => {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/.exec(text) ?? [];
  const seconds = Number(number) * (UNITS[unit] ?? NaN);
  if (!(seconds > 0 && seconds <= MOST_SECONDS))
    throw new InvalidArgumentError("It must be a time such as 90s, 30m or 2h, up to 24d.");
  return seconds;
};

/** PROPERTY=VALUE,...; the option may come again. */
export const collectOnly = (
  text: string,
  previous: Record<string, string[]> = {},
): Record<string, string[]> => {
  const [property = "", values = ""] = text.split("=", 2);
  if (!CELL_PROPERTIES.includes(property) || values === "") {
    throw new InvalidArgumentError(
      `It must be PROPERTY=VALUE,... with a property of ${CELL_PROPERTIES.join(", ")}.`,
    );
  }
  return { ...previous, [property]: [...(previous[property] ?? []), ...values.split(",")] };
};

/** Values of an option that may be given several times. */
export const collect = (value: string, previous: readonly string[] = []): string[] => [
  ...previous,
  value,
];
