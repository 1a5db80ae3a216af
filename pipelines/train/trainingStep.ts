import * as tf from "#tf";
import type { Phase } from "../../algorithms/algorithm.js";
import type { StepFunction, StepTensors } from "../engine/index.js";
import {
  existing,
  forward,
  parameterSpecs,
  quantizeWith,
  tensorOf,
  unquantized,
  valuesOf,
} from "../network/index.js";
import { distilled } from "./distillation.js";
import type { TrainedQuantizers, Training } from "./training.js";

/** An output of every step beside the loss; no parameter is named so. */
export const LOGITS = "logits";
export const momentumOf = (name: string) => `${name} momentum`;

/** One step of Nesterov momentum (PyTorch's formulation) as a function on tensors. */
export function trainingStep(
  training: Training,
  phase: Phase,
  names: readonly string[],
): StepFunction {
  const { network, hyperparameters } = training;
  const { momentum, weightDecay, quantizerWeightDecay = weightDecay } = hyperparameters;
  const decayed = new Set(
    [...parameterSpecs(network)]
      .filter(([, { group }]) => group === "kernel")
      .map(([name]) => name),
  );
  const decayOf = (name: string) =>
    name.includes(":") ? quantizerWeightDecay : decayed.has(name) ? weightDecay : 0;

  return ({ images, labels, learningRate, ...tensors }) => {
    if (!images || !labels || !learningRate) throw new TypeError("training step lacks its batch");
    const statistics: Record<string, tf.Tensor> = {};
    const objective = (...trained: tf.Tensor[]): tf.Scalar => {
      const current = {
        ...tensors,
        ...Object.fromEntries(names.map((n, i) => [n, trained[i] as tf.Tensor])),
      };
      const { loss, newStatistics, logits } = lossOf(training, phase, { images, labels, current });
      // Differentiation disposes what its function does not return.
      for (const [name, tensor] of Object.entries(newStatistics))
        statistics[name] = tf.keep(tensor);
      statistics[LOGITS] = tf.keep(logits);
      return loss;
    };
    const { value, grads } = tf.valueAndGrads(objective)(
      names.map((name) => existing(tensors, name)),
    );
    const outputs: Record<string, tf.Tensor> = { loss: value };
    for (const [name, kept] of Object.entries(statistics)) {
      outputs[name] = tf.clone(kept);
      kept.dispose();
    }
    names.forEach((name, i) => {
      const weight = existing(tensors, name);
      const gradient = grads[i];
      if (gradient === undefined) throw new Error(`no gradient reaches "${name}"`);
      const decay = decayOf(name);
      const decayedGradient = decay > 0 ? tf.add(gradient, tf.mul(weight, decay)) : gradient;
      const velocity = tf.add(
        tf.mul(existing(tensors, momentumOf(name)), momentum),
        decayedGradient,
      );
      const direction = tf.add(decayedGradient, tf.mul(velocity, momentum));
      outputs[momentumOf(name)] = velocity;
      outputs[name] = tf.sub(weight, tf.mul(direction, learningRate));
    });
    return outputs;
  };
}

interface StepBatch {
  readonly images: tf.Tensor;
  readonly labels: tf.Tensor;
  readonly current: StepTensors;
}

function lossOf(
  { network, quantizers, dataset, hyperparameters }: Training,
  phase: Phase,
  batch: StepBatch,
) {
  const { images, labels, current } = batch;
  const quantize = quantizers
    ? quantizeWith(quantizers.algorithm, quantizers.sites, current)
    : unquantized;
  const read = new Map<string, tf.Tensor>();
  const { logits, statistics, outputs } = forward(network, images, {
    parameters: current,
    training: hyperparameters.fineTuning?.batchNorm !== "frozen",
    quantize(id, x, parameter) {
      if (parameter === undefined) read.set(id, x);
      return quantize(id, x);
    },
  });
  const oneHot = tf.cast(
    tf.oneHot(labels as tf.Tensor1D, dataset.classes),
    "float32",
  ) as tf.Tensor2D;
  const { labelSmoothing = 0 } = hyperparameters;
  const smooth =
    labelSmoothing === 0
      ? oneHot
      : tf.add(tf.mul(oneHot, 1 - labelSmoothing), labelSmoothing / dataset.classes);
  const crossEntropy = tf.neg(tf.mean<tf.Scalar>(tf.sum(tf.mul(tf.logSoftmax(logits), smooth), 1)));
  return { loss: objectiveOf(), newStatistics: statistics, logits };

  function objectiveOf(): tf.Scalar {
    if (quantizers === undefined) return crossEntropy;
    const { teacher } = quantizers;
    const teacherOutput = teacherOutputs(teacher, images);
    const teacherLogits = () =>
      teacherOutput(teacher.network.nodes.at(-1)?.name ?? "") as tf.Tensor2D;
    if (phase.loss !== undefined)
      return phase.loss({
        crossEntropy,
        logits,
        labels: oneHot,
        output: (node) => outputOf(outputs, node),
        ...{ teacherOutput, teacherLogits },
        tensor: tensorOf(read),
        quantizers: new Map(quantizers.sites.map((site) => [site, valuesOf(site, current)])),
      });
    const { distillation } = hyperparameters;
    if (distillation === undefined) return crossEntropy;
    return distilled(distillation, { crossEntropy, logits, teacher: teacherLogits() });
  }
}

function outputOf(outputs: ReadonlyMap<string, tf.Tensor>, node: string): tf.Tensor {
  const output = outputs.get(node);
  if (output === undefined) throw new Error(`a loss asks for node "${node}", which is not there`);
  return output;
}

/** Runs the float network when it is first asked for; a step that never asks does not pay. */
function teacherOutputs(
  { network, parameters }: TrainedQuantizers["teacher"],
  images: tf.Tensor,
): (node: string) => tf.Tensor {
  let outputs: ReadonlyMap<string, tf.Tensor> | undefined;
  return (node) => {
    outputs ??= forward(network, images, {
      parameters: Object.fromEntries(
        Object.entries(parameters).map(([name, { data, shape }]) => [
          name,
          tf.tensor(data, [...shape]),
        ]),
      ),
      training: false,
      quantize: unquantized,
    }).outputs;
    return outputOf(outputs, node);
  };
}
