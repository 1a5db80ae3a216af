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

/** PROPERTY=VALUE,...; the option may come again. */
export const collectOnly = (
  text: string,
  previous: Record<string, string[]>,
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
export const collect = (value: string, previous: readonly string[]): string[] => [
  ...previous,
  value,
];
