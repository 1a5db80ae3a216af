import type * as tf from "#tf";
import type { HostTensor } from "../engine.js";
import type { DataId } from "../trace/program.js";
import type { RecordedProgram } from "../trace/trace.js";
import type { HostValues } from "../trace/traceBackend.js";
import { fuseGradients } from "./fuseGradients.js";
import type { Operation } from "./operation.js";

export interface Instruction extends Operation {
  /** Tensors that nothing reads afterwards. */
  readonly frees: readonly number[];
}

export interface Constant extends Pick<tf.TensorInfo, "shape" | "dtype"> {
  readonly values: HostValues;
}

/** A step as kernels to call one after the other. */
export interface Plan {
  readonly instructions: readonly Instruction[];
  readonly inputs: ReadonlyMap<string, number>;
  readonly constants: ReadonlyMap<number, Constant>;
  readonly outputs: ReadonlyMap<
    string,
    Pick<HostTensor, "shape" | "dtype"> & { readonly tensor: number }
  >;
}

/**
 * Orders a recorded step for calling its kernels one by one: what would be computed twice is
 * computed once, known values not at all, and memory is given back after the last reader.
 */
export function planOf({ program, inputs, results, outputs, known }: RecordedProgram): Plan {
  const tensors = new NumberedTensors(
    (info) => program.resolve(info),
    (info) => known(info),
  );
  const given = Object.entries(inputs).map(([name, info]) => {
    const [tensor = NaN] = tensors.made(`input ${name}`, [info]).numbers;
    return [name, tensor] as const;
  });
  const operations = program.calls.flatMap(
    ({ kernel, inputs: read, attributes, outputs: made }) => {
      if (made.every((info) => known(info) !== undefined)) return [];
      const numbers = Object.entries(read).map(([name, info]) => [name, tensors.of(info)] as const);
      const { isNew, numbers: results } = tensors.made(
        JSON.stringify([kernel, numbers, attributes]),
        made,
      );
      return isNew
        ? [{ kernel, inputs: Object.fromEntries(numbers), attributes, outputs: results }]
        : [];
    },
  );
  const kept = Object.entries(outputs).map(([name, type]) => {
    const result = results[name];
    if (result === undefined) throw new Error(`step output "${name}" was not recorded`);
    return [name, { ...type, tensor: tensors.of(result) }] as const;
  });
  const wanted = new Set(kept.map(([, { tensor }]) => tensor));
  const fused = needed(fuseGradients(operations, tensors), wanted);
  return {
    instructions: withFrees(fused, (tensor) => wanted.has(tensor) || tensors.constants.has(tensor)),
    inputs: new Map(given),
    constants: tensors.constants,
    outputs: new Map(kept),
  };
}

/** Numbers for tensors; those that were made alike have the same. */
class NumberedTensors {
  readonly constants = new Map<number, Constant>();
  readonly #shapes: string[] = [];
  readonly #numbers = new Map<DataId, number>();
  readonly #made = new Map<string, readonly number[]>();
  readonly #resolve: (info: tf.TensorInfo) => tf.TensorInfo;
  readonly #known: (info: tf.TensorInfo) => HostValues | undefined;

  constructor(
    resolve: (info: tf.TensorInfo) => tf.TensorInfo,
    known: (info: tf.TensorInfo) => HostValues | undefined,
  ) {
    this.#resolve = resolve;
    this.#known = known;
  }

  /** Numbers what a call gave, and whether nothing was made in this way before. */
  made(
    how: string,
    infos: readonly tf.TensorInfo[],
  ): { readonly isNew: boolean; readonly numbers: readonly number[] } {
    const before = this.#made.get(how);
    const numbers = before ?? infos.map(({ shape }) => this.#shapes.push(shape.join()) - 1);
    this.#made.set(how, numbers);
    infos.forEach(({ dataId }, i) => this.#numbers.set(dataId, numbers[i] ?? NaN));
    return { isNew: before === undefined, numbers };
  }

  /** The number of what was made, or is a constant. */
  of(info: tf.TensorInfo): number {
    const tensor = this.#resolve(info);
    const number = this.#numbers.get(tensor.dataId);
    if (number !== undefined) return number;
    const { shape, dtype } = tensor;
    const values = this.#known(tensor);
    if (values === undefined) throw new Error("a step reads a tensor that it did not compute");
    const { numbers } = this.made(`${dtype} [${shape.join()}] ${values.join()}`, [tensor]);
    const [constant = NaN] = numbers;
    this.constants.set(constant, { shape, dtype, values });
    return constant;
  }

  readonly haveSameShape = (a: number, b: number): boolean => this.#shapes[a] === this.#shapes[b];

  readonly constant = (tensor: number): number | undefined => {
    const { values } = this.constants.get(tensor) ?? {};
    return values?.length === 1 ? values[0] : undefined;
  };
}

/** The operations that lead to one of these tensors. */
function needed(operations: readonly Operation[], wanted: ReadonlySet<number>): Operation[] {
  const open = new Set(wanted);
  const found = operations.toReversed().filter(({ inputs, outputs }) => {
    if (!outputs.some((output) => open.has(output))) return false;
    for (const input of Object.values(inputs)) open.add(input);
    return true;
  });
  return found.toReversed();
}

function withFrees(
  operations: readonly Operation[],
  isKept: (tensor: number) => boolean,
): Instruction[] {
  const read = new Set<number>();
  const found = operations.toReversed().map((operation) => {
    const touched = new Set([...Object.values(operation.inputs), ...operation.outputs]);
    const frees = [...touched].filter((tensor) => !read.has(tensor) && !isKept(tensor));
    for (const tensor of touched) read.add(tensor);
    return { ...operation, frees };
  });
  return found.toReversed();
}
