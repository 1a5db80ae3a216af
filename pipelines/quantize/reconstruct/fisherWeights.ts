import * as tf from "#tf";
import type { Engine, HostTensors, StepTensors } from "../../engine/index.js";
import {
  existing,
  forward,
  inputName,
  mapBatches,
  type NodeValues,
  quantizeWith,
  type Rows,
  type RowStorage,
  runPart,
  type StoredRows,
  type Unit,
  unitBetween,
  unquantized,
  valuesOfNode,
} from "../../network/index.js";
import type { ReconstructionTask } from "./learnedUnit.js";

/** The authors' code averages the divergence over so many images before it takes gradients. */
const FISHER_BATCH = 32;

/**
 * BRECQ's weights: the magnitude of the gradient, at the unit's output, of the mean divergence between
 * the float network's prediction and that with the quantized unit, plus 1.
 */
export async function fisherWeights(
  engine: Engine,
  task: ReconstructionTask,
  state: {
    readonly unit: Unit;
    readonly tensors: HostTensors;
    readonly quantized: NodeValues;
    /** Holds the float network's prediction. */
    readonly float: NodeValues;
    readonly storage?: RowStorage;
  },
): Promise<StoredRows | undefined> {
  const { network } = task;
  const { unit, tensors, quantized, float, storage } = state;
  const last = network.nodes.at(-1)?.name ?? "";
  if (unit.output === last) return undefined; // nothing lies behind it
  const logits = valuesOfNode(float, last);
  const output = await runPart(engine, {
    unit,
    values: quantized,
    tensors,
    mode: (current) => ({ quantize: quantizeWith(task.algorithm, task.sites, current) }),
    ...(storage && { storage }),
  });
  const tail = unitBetween(network, new Set([unit.output]), last);
  const step = (current: StepTensors) => {
    const exact = tf.softmax(existing(current, inputName("logits")));
    const divergence = (y: tf.Tensor): tf.Scalar => {
      const { logits: reached } = forward(tail.network, () => y, {
        parameters: current,
        training: false,
        quantize: unquantized,
      });
      const summed = tf.sum<tf.Scalar>(tf.mul(exact, tf.logSoftmax(reached)));
      return tf.div(summed, -FISHER_BATCH);
    };
    const gradient = tf.grad(divergence)(existing(current, inputName("output")));
    return { result: tf.add(tf.abs(gradient), 1) };
  };
  const weights = await mapBatches(engine, step, {
    inputs: ["output", "logits"],
    tensors: task.tensors,
    values: new Map<string, Rows>([
      ["output", output],
      ["logits", logits],
    ]),
    storage,
  });
  output.release();
  return weights;
}
