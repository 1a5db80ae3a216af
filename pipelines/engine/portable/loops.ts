import type { Call } from "../trace/program.js";
import { I32, instruction as op, V128, type GeneratedFunction } from "./encoder.js";
import { formulas } from "./formulas.js";
import type { Block } from "./memory.js";

const VECTOR_BYTES = 16;

/** Where a loop finds an operand. */
export type Operand =
  | { readonly kind: "number"; readonly value: number }
  /** One value for all elements. */
  | { readonly kind: "scalar"; readonly block: Block }
  | { readonly kind: "elements"; readonly block: Block }
  /** So many elements, a multiple of 4, again and again. */
  | { readonly kind: "pattern"; readonly block: Block; readonly period: number }
  /** What an earlier part of the same loop gave. */
  | { readonly kind: "part"; readonly index: number };

/** One value that a loop computes for each element. */
export interface Part {
  readonly call: Call;
  readonly operands: readonly Operand[];
  /** Where it is stored, if it is needed outside of the loop. */
  target?: Block;
}

export interface Loop {
  readonly size: number;
  readonly parts: readonly Part[];
}

/** Numbers functions of the kernels in the order in which loops first call them. */
export class Calls {
  readonly imports: { name: string; arguments: number }[] = [];

  index(name: string, count: number): number {
    const known = this.imports.findIndex((entry) => entry.name === name);
    return known >= 0 ? known : this.imports.push({ name, arguments: count }) - 1;
  }
}

/** Local variables of a loop, by type; positions first, since their number is known last. */
class Locals {
  readonly hoisted: number[] = [];
  readonly advance: number[] = [];
  readonly #positions: number;
  readonly #known = new Map<string, number>();
  #vectors = 0;

  constructor(positions: number) {
    this.#positions = positions;
  }

  get declared(): GeneratedFunction["locals"] {
    return [
      [this.#positions, I32],
      [this.#vectors, V128],
    ];
  }

  vector(): number {
    return this.#positions + this.#vectors++;
  }

  /** A value that is put into a variable before the loop begins. */
  constant(key: string, bytes: readonly number[]): number[] {
    let local = this.#known.get(key);
    if (local === undefined) {
      local = this.vector();
      this.#known.set(key, local);
      this.hoisted.push(...bytes, ...op.set(local));
    }
    return op.get(local);
  }
}

/** A function that computes all values of a loop for four elements at a time. */
export function writeLoop(name: string, { size, parts }: Loop, calls: Calls): GeneratedFunction {
  const periods = [
    ...new Set(
      parts.flatMap(({ operands }) =>
        operands.flatMap((operand) => (operand.kind === "pattern" ? [operand.period] : [])),
      ),
    ),
  ];
  const locals = new Locals(1 + periods.length);
  const results = parts.map(() => locals.vector());
  const loaded = new Map<string, number>();
  const body: number[] = [];
  /** Loads a value of this element once. */
  const load = (position: number, block: Block): number[] => {
    const key = `${String(position)} ${String(block.address)}`;
    const known = loaded.get(key);
    if (known !== undefined) return op.get(known);
    const local = locals.vector();
    loaded.set(key, local);
    body.push(...op.get(position), ...op.load(block.address), ...op.set(local));
    return op.get(local);
  };
  const number = (value: number) =>
    locals.constant(`number ${Object.is(value, -0) ? "-0" : String(value)}`, [
      ...op.float(value),
      ...op.splat,
    ]);
  const read = (operand: Operand | undefined): number[] => {
    switch (operand?.kind) {
      case undefined:
        return [];
      case "number":
        return number(operand.value);
      case "scalar":
        return locals.constant(`scalar ${String(operand.block.address)}`, [
          ...op.integer(0),
          ...op.loadSplat(operand.block.address),
        ]);
      case "elements":
        return load(0, operand.block);
      case "pattern":
        return load(1 + periods.indexOf(operand.period), operand.block);
      case "part":
        return op.get(results[operand.index] ?? 0);
    }
  };
  parts.forEach(({ call, operands, target }, i) => {
    const formula = formulas[call.kernel];
    if (formula === undefined) throw new Error(`no loop computes kernel ${call.kernel}`);
    const [a = [], b = [], c = []] = operands.map(read);
    const value = formula(
      { a, b, c, number, call: (f, count = 1) => op.call(calls.index(f, count)) },
      call,
    );
    body.push(...value, ...op.set(results[i] ?? 0));
    if (target !== undefined) {
      body.push(...op.get(0), ...op.get(results[i] ?? 0), ...op.store(target.address));
    }
  });
  const advanced = periods.flatMap((period, i) => advance(1 + i, 4 * period));
  const bytes = Math.ceil(size / 4) * VECTOR_BYTES;
  return {
    name,
    locals: locals.declared,
    body: [
      ...locals.hoisted,
      ...op.loop,
      ...body,
      ...advanced,
      ...[...op.get(0), ...op.integer(VECTOR_BYTES), ...op.addIntegers, ...op.tee(0)],
      ...[...op.integer(bytes), ...op.belowUnsigned, ...op.repeatIf],
      ...op.end,
    ],
  };
}

/** To the next vector of a pattern, or back to its first. */
function advance(position: number, bytes: number): number[] {
  if (bytes === VECTOR_BYTES) return [];
  const next = [...op.get(position), ...op.integer(VECTOR_BYTES), ...op.addIntegers];
  return [
    ...op.integer(0),
    ...next,
    ...op.tee(position),
    ...op.get(position),
    ...[...op.integer(bytes), ...op.equalIntegers, ...op.select, ...op.set(position)],
  ];
}
