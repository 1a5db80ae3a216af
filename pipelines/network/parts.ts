import type * as tf from "#tf";
import type { Engine, HostTensor, HostTensors, StepFunction } from "../engine/index.js";
import { forward } from "./forward.js";
import type { ForwardOptions } from "./pass.js";
import type { Unit } from "./units.js";

/** Images at a time when parts of a network run on their own. */
const BATCH = 64;

/** Values of a network's nodes for the same images, by node. */
export type NodeValues = ReadonlyMap<string, HostTensor>;

/** The rows `from` ... `to` - 1 along the first axis. */
export function rows({ shape, data }: HostTensor, from: number, to: number): HostTensor {
  const [count = 1, ...rest] = shape;
  const size = data.length / count;
  const part = data.subarray(from * size, to * size);
  return part instanceof Float32Array
    ? { dtype: "float32", shape: [to - from, ...rest], data: part }
    : { dtype: "int32", shape: [to - from, ...rest], data: part };
}

/** The rows at `indices` along the first axis. */
export function chosenRows({ shape, data }: HostTensor, indices: ArrayLike<number>): HostTensor {
  const [count = 1, ...rest] = shape;
  const size = data.length / count;
  const chosen = new Float32Array(indices.length * size);
  for (let slot = 0; slot < indices.length; slot++) {
    const index = indices[slot] ?? 0;
    chosen.set(data.subarray(index * size, (index + 1) * size), slot * size);
  }
  return { dtype: "float32", shape: [indices.length, ...rest], data: chosen };
}

/** Inputs of a part's step are told from its parameters by this. */
export const inputName = (node: string): string => `in ${node}`;

export interface PartOptions {
  readonly unit: Unit;
  readonly tensors: HostTensors;
  /** Values of what the unit reads. */
  readonly values: NodeValues;
  readonly mode: (
    tensors: Readonly<Record<string, tf.Tensor>>,
  ) => Pick<ForwardOptions, "quantize" | "bias">;
}

/** Computes a unit's output for all images. */
export async function runPart(
  engine: Engine,
  { unit, tensors, values, mode }: PartOptions,
): Promise<HostTensor> {
  const step: StepFunction = (current) => {
    const { outputs } = forward(unit.network, (name) => existing(current, inputName(name)), {
      parameters: current,
      training: false,
      ...mode(current),
    });
    const result = outputs.get(unit.output);
    if (result === undefined) throw new Error(`no node "${unit.output}"`);
    return { result };
  };
  return mapBatches(engine, step, { inputs: unit.inputs, tensors, values });
}

/**
 * Runs a step with one output, `result`, over all images in batches of a fixed size; the last
 * batch takes in images of the one before where it would be smaller.
 */
export async function mapBatches(
  engine: Engine,
  step: StepFunction,
  options: {
    readonly inputs: readonly string[];
    readonly tensors: HostTensors;
    readonly values: NodeValues;
  },
): Promise<HostTensor> {
  const { inputs, tensors, values } = options;
  const count = valuesOfNode(values, inputs[0] ?? "").shape[0] ?? 0;
  const size = Math.min(BATCH, count);
  const batch = (from: number): HostTensors => ({
    ...tensors,
    ...Object.fromEntries(
      inputs.map((name) => [inputName(name), rows(valuesOfNode(values, name), from, from + size)]),
    ),
  });
  const compiled = await engine.compile(step, batch(0));
  let result: { data: Float32Array; shape: readonly number[] } | undefined;
  try {
    for (let start = 0; start < count; start += size) {
      const from = Math.min(start, count - size);
      const { result: part } = await compiled.run(batch(from));
      if (part === undefined) throw new Error("the step gave no result");
      const each = part.data.length / size;
      result ??= {
        data: new Float32Array(count * each),
        shape: [count, ...part.shape.slice(1)],
      };
      result.data.set(part.data, from * each);
    }
  } finally {
    await compiled.release();
  }
  if (result === undefined) throw new Error("there are no images");
  return { dtype: "float32", ...result };
}

export function valuesOfNode(values: NodeValues, name: string): HostTensor {
  const found = values.get(name);
  if (found === undefined) throw new Error(`the values of node "${name}" are missing`);
  return found;
}

export function existing<T>(entries: Readonly<Record<string, T>>, name: string): T {
  const entry = entries[name];
  if (entry === undefined) throw new Error(`"${name}" is missing`);
  return entry;
}
