import type { CompletedCell, Operators } from "../results/schema.js";
import { unique } from "./cells.js";

type Both = CompletedCell["measured"]["operators"];

/** What an operator computes: "Conv 3x3" of "QLinearConv 3x3". */
const purposeOf = (operator: string): string =>
  operator.replace(/^Q(?:Linear(?=[A-Z])|(?=Gemm|MatMul))/, "");

const microseconds = (time: number): string => (time < 100 ? time.toPrecision(3) : time.toFixed(0));

/**
 * Operators of the float graph beside those that compute the same in the quantized one, the most
 * expensive of which come first.
 */
export function operatorsOf({ float, quantized }: Both): string[][] {
  const show = (operators: Operators, name: string | undefined) => {
    const found = operators[name ?? ""];
    return found === undefined
      ? ["–", "–"]
      : [String(found.count), microseconds(found.microseconds)];
  };
  const time = (name: string | undefined) => quantized[name ?? ""]?.microseconds ?? 0;
  return unique([...Object.keys(quantized), ...Object.keys(float)].map(purposeOf))
    .flatMap((purpose) => {
      const names = Object.keys(quantized).filter((name) => purposeOf(name) === purpose);
      return (names.length > 0 ? names : [undefined]).map((name, i) => ({ purpose, name, i }));
    })
    .sort((a, b) => time(b.name) - time(a.name))
    .map(({ purpose, name, i }) => [
      purpose,
      ...(i === 0 ? show(float, purpose) : ["–", "–"]),
      name ?? "–",
      ...show(quantized, name),
    ]);
}

/** All operators of both graphs together. */
export function operatorsSum({ float, quantized }: Both) {
  const sum = (operators: Operators) => ({
    count: Object.values(operators).reduce((total, { count }) => total + count, 0),
    microseconds: microseconds(
      Object.values(operators).reduce((total, operator) => total + operator.microseconds, 0),
    ),
  });
  return { float: sum(float), quantized: sum(quantized) };
}
