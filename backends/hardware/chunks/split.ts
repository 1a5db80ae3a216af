import { OPERATORS, type OperatorKind } from "../hardware.js";

/** Something for each chunk of the accelerator. */
export type PerOperator<T> = Readonly<Record<OperatorKind, T>>;

export const perOperator = <T>(of: (operator: OperatorKind) => T): PerOperator<T> => ({
  convolution: of("convolution"),
  shift: of("shift"),
  adder: of("adder"),
});

/**
 * Area of a processing element's arithmetic in square micrometers at 45 nm: 8-bit multiplier 282, 8-bit adder 36,
 * 32-bit adder for the sum 137 (Horowitz, ISSCC 2014, from memory). A shifter of 8 bits is counted in proportion to
 * its energy.
 */
export const AREA: PerOperator<number> = {
  convolution: 282 + 137,
  shift: (36 * 0.024) / 0.03 + 137,
  adder: 36 + 137,
};

/** Eyeriss's 168 elements with multipliers. */
export const AREA_BUDGET = 168 * AREA.convolution;

/**
 * Processing elements of each chunk, in proportion to its operations, so that all take as long: N / operations is the same
 * but for whole numbers. A chunk with anything to do has one at least, and one with nothing has none.
 */
export function splitElements(
  operations: PerOperator<number>,
  budget: number = AREA_BUDGET,
): PerOperator<number> {
  let busy = OPERATORS.filter((operator) => operations[operator] > 0);
  let left = budget;
  const found = new Map<OperatorKind, number>();
  for (;;) {
    const weighted = busy.reduce((sum, one) => sum + AREA[one] * operations[one], 0);
    const share = (operator: OperatorKind) => (left * operations[operator]) / weighted;
    const small = busy.filter((operator) => share(operator) < 1);
    if (small.length === 0) {
      // A share that is a whole number must not fall below it by rounding.
      for (const operator of busy) found.set(operator, Math.floor(share(operator) + 1e-9));
      return perOperator((operator) => found.get(operator) ?? 0);
    }
    for (const operator of small) {
      found.set(operator, 1);
      left -= AREA[operator];
    }
    busy = busy.filter((operator) => !small.includes(operator));
    if (left < 0) throw new RangeError(`an area of ${String(budget)} has no room for its chunks`);
  }
}
