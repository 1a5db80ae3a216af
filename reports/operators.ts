import type { CompletedCell, Operators } from "../results/schema.js";
import { unique } from "./cells.js";

type Both = CompletedCell["measured"]["operators"];

/** Operators of both graphs beside each other, the most expensive of the quantized one first. */
export function operatorsOf({ float, quantized }: Both): string[][] {
  const time = (name: string) => quantized[name]?.microseconds ?? 0;
  const names = unique([...Object.keys(quantized), ...Object.keys(float)]);
  const show = (operators: Operators, name: string) => {
    const found = operators[name];
    return found === undefined
      ? ["–", "–"]
      : [String(found.count), found.microseconds.toPrecision(3)];
  };
  return names
    .sort((a, b) => time(b) - time(a))
    .map((name) => [name, ...show(float, name), ...show(quantized, name)]);
}

/** All operators of both graphs together. */
export function operatorsSum({ float, quantized }: Both) {
  const sum = (operators: Operators) => ({
    count: Object.values(operators).reduce((total, { count }) => total + count, 0),
    microseconds: Object.values(operators)
      .reduce((total, { microseconds }) => total + microseconds, 0)
      .toPrecision(3),
  });
  return { float: sum(float), quantized: sum(quantized) };
}
