import { existing } from "../../algorithms/existing.js";
import type * as tf from "#tf";
import type { Engine, HostTensors, StepFunction } from "../engine/index.js";
import { forward } from "./forward.js";
import type { ForwardOptions } from "./pass.js";
import { RowStorage, type Rows, type StoredRows } from "./rows.js";
import type { Unit } from "./units.js";

/** Images at a time when parts of a network run on their own. */
const BATCH = 64;

/** Values of a network's nodes for the same images, by node. */
export type NodeValues = ReadonlyMap<string, Rows>;

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
  /** Where the output goes. */
  readonly storage?: RowStorage;
}

/** Computes a unit's output for all images. */
export async function runPart(
  engine: Engine,
  { unit, tensors, values, mode, storage }: PartOptions,
): Promise<StoredRows> {
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
  return mapBatches(engine, step, { inputs: unit.inputs, tensors, values, storage });
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
    readonly storage?: RowStorage | undefined;
  },
): Promise<StoredRows> {
  const { inputs, tensors, values, storage = new RowStorage() } = options;
  const count = valuesOfNode(values, inputs[0] ?? "").shape[0] ?? 0;
  const size = Math.min(BATCH, count);
  const batch = (from: number): HostTensors => ({
    ...tensors,
    ...Object.fromEntries(
      inputs.map((name) => [
        inputName(name),
        valuesOfNode(values, name).between(from, from + size),
      ]),
    ),
  });
  const compiled = await engine.compile(step, batch(0));
  let result: StoredRows | undefined;
  try {
    for (let start = 0; start < count; start += size) {
      const from = Math.min(start, count - size);
      const { result: part } = await compiled.run(batch(from));
      if (!(part?.data instanceof Float32Array)) throw new Error("the step gave no result");
      result ??= storage.create([count, ...part.shape.slice(1)]);
      result.write(part.data, from);
    }
  } finally {
    await compiled.release();
  }
  if (result === undefined) throw new Error("there are no images");
  return result;
}

export function valuesOfNode(values: NodeValues, name: string): Rows {
  const found = values.get(name);
  if (found === undefined) throw new Error(`the values of node "${name}" are missing`);
  return found;
}
