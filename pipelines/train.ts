import * as tf from "@tensorflow/tfjs";
import {
  phasesOf,
  type Algorithm,
  type Phase,
  type QuantizerSite,
} from "../algorithms/algorithm.js";
import { trainingBatches, type Batch, type Dataset } from "./data.js";
import {
  onlyValue,
  scalar,
  type CompiledStep,
  type Engine,
  type HostTensor,
  type HostTensors,
  type StepFunction,
  type StepTensors,
} from "./engine/index.js";
import {
  learningRateAt,
  stepCount,
  type Hyperparameters,
  type Schedule,
} from "./hyperparameters.js";
import { forward } from "./network/forward.js";
import { parameterSpecs, type Network } from "./network/network.js";
import { quantizerOf, quantizeWith, unquantized, valueName, valuesOf } from "./quantizers.js";

/** Quantizers of a training; absent while the float network is trained. */
export interface TrainedQuantizers {
  readonly algorithm: Algorithm;
  readonly sites: readonly QuantizerSite[];
  /** The float checkpoint, for losses that use a teacher. */
  readonly teacher: { readonly network: Network; readonly parameters: HostTensors };
}

export interface Training {
  readonly network: Network;
  /** First values of all parameters and quantizers. */
  readonly tensors: HostTensors;
  readonly quantizers?: TrainedQuantizers;
  readonly dataset: Dataset;
  readonly hyperparameters: Hyperparameters;
  readonly schedule: Schedule;
  readonly seed: number;
  /** Names the random streams: trainings with the same name and seed see the same batches. */
  readonly name: string;
  readonly onStep?: (progress: TrainingProgress) => void;
}

export interface TrainingProgress {
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
}

export interface TrainingResult {
  readonly tensors: HostTensors;
  /** Loss of every step. */
  readonly losses: Float32Array;
  /** The first step whose loss was not finite; training stops there. */
  readonly divergedAt?: number;
}

const WHOLE_TRAINING: Phase = { name: "train", share: 1, trains: ["weights"] };

/**
 * Trains by stochastic gradient descent. Every algorithm gets the same batches in the same order
 * and the same learning rates; only what its quantizers compute differs.
 */
export async function train(engine: Engine, training: Training): Promise<TrainingResult> {
  const { dataset, hyperparameters, schedule, seed, name } = training;
  const { batchSize, augmentation } = hyperparameters;
  const batches = trainingBatches(dataset, { batchSize, augmentation, seed, name });
  const steps = stepCount(schedule, dataset.train.count, batchSize);
  const losses = new Float32Array(steps);
  let { tensors } = training;
  let step = 0;
  let endShare = 0;
  const known = new Map<Phase, RunningPhase>(); // a phase that comes back goes on where it was
  try {
    for (const phase of phasesOfTraining(training)) {
      endShare += phase.share;
      const end = Math.round(endShare * steps);
      if (step >= end) continue;
      const running = known.get(phase) ?? new RunningPhase(engine, { ...training, tensors }, phase);
      known.set(phase, running);
      running.tensors = tensors;
      for (; step < end; step++) {
        const rate = learningRateAt(schedule, step, steps);
        running.anneal(step / steps);
        const loss = await running.step(batches.next().value, rate);
        losses[step] = loss;
        if (!Number.isFinite(loss)) {
          return { tensors: running.tensors, losses: losses.slice(0, step + 1), divergedAt: step };
        }
        training.onStep?.({ step: step + 1, steps, loss });
      }
      ({ tensors } = running);
    }
  } finally {
    for (const running of known.values()) await running.release();
  }
  return { tensors, losses };
}

function phasesOfTraining({ quantizers, network }: Training): readonly Phase[] {
  return quantizers === undefined ? [WHOLE_TRAINING] : phasesOf(quantizers.algorithm, network);
}

/** A phase of a training, one step at a time. */
export class RunningPhase {
  readonly #engine: Engine;
  readonly #phase: Phase;
  readonly #step: StepFunction;
  #tensors: HostTensors;
  #momenta: HostTensors;
  #compiled: CompiledStep | undefined;

  constructor(engine: Engine, training: Training, phase: Phase = WHOLE_TRAINING) {
    const names = trainedNames(training, phase);
    this.#engine = engine;
    this.#phase = phase;
    this.#step = trainingStep(training, phase, names);
    this.#tensors = training.tensors;
    this.#momenta = zerosFor(names, training.tensors);
  }

  get tensors(): HostTensors {
    return this.#tensors;
  }

  /** Other phases may have moved what this one goes on with. */
  set tensors(tensors: HostTensors) {
    this.#tensors = tensors;
  }

  /** Sets the quantizer values that follow the progress of the training, 0 to 1. */
  anneal(progress: number): void {
    const values = Object.entries(this.#phase.anneals?.(progress) ?? {});
    if (values.length === 0) return;
    const changed = Object.entries(this.#tensors).flatMap(([name, { shape, data }]) => {
      const value = values.find(([suffix]) => name.endsWith(`:${suffix}`))?.[1];
      const filled = new Float32Array(data.length).fill(value ?? 0);
      return value === undefined
        ? []
        : [[name, { dtype: "float32", shape, data: filled }] as const];
    });
    this.#tensors = { ...this.#tensors, ...Object.fromEntries(changed) };
  }

  /** @returns the loss before the step; when it is not finite, nothing has changed */
  async step({ images, labels }: Batch, rate: number): Promise<number> {
    const learningRate = scalar(rate);
    const inputs = { images, labels, learningRate, ...this.#tensors, ...this.#momenta };
    this.#compiled ??= await this.#engine.compile(this.#step, inputs);
    const outputs = await this.#compiled.run(inputs);
    const loss = onlyValue(outputs["loss"]);
    if (Number.isFinite(loss)) {
      this.#tensors = pick(outputs, this.#tensors);
      this.#momenta = pick(outputs, this.#momenta);
    }
    return loss;
  }

  async release(): Promise<void> {
    await this.#compiled?.release();
  }
}

const momentumOf = (name: string) => `${name} momentum`;

/** What a phase changes by gradient descent. */
function trainedNames({ network, quantizers, tensors }: Training, phase: Phase): readonly string[] {
  const names: string[] = [];
  if (phase.trains.includes("weights")) {
    for (const [name, { group }] of parameterSpecs(network)) {
      if (group !== "statistics") names.push(name);
    }
  }
  if (phase.trains.includes("quantizers") && quantizers !== undefined) {
    for (const site of quantizers.sites) {
      const { learned } = quantizerOf(quantizers.algorithm, site);
      names.push(...learned.map((name) => valueName(site, name)).filter((name) => name in tensors));
    }
  }
  return phase.only === undefined ? names : names.filter(phase.only);
}

function zerosFor(names: readonly string[], tensors: HostTensors): HostTensors {
  return Object.fromEntries(
    names.map((name) => {
      const { shape, data } = existing(tensors, name);
      return [momentumOf(name), { dtype: "float32", shape, data: new Float32Array(data.length) }];
    }),
  );
}

function existing<T>(tensors: Readonly<Record<string, T>>, name: string): T {
  const tensor = tensors[name];
  if (tensor === undefined) throw new Error(`training has no tensor "${name}"`);
  return tensor;
}

/** The entries of `outputs` that `names` has, in its order; what a step does not change stays. */
function pick(outputs: HostTensors, names: HostTensors): HostTensors {
  return Object.fromEntries(
    Object.entries(names).map(([name, old]): [string, HostTensor] => [name, outputs[name] ?? old]),
  );
}

/** One step of Nesterov momentum (PyTorch's formulation) as a function on tensors. */
function trainingStep(training: Training, phase: Phase, names: readonly string[]): StepFunction {
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
      const { loss, newStatistics } = lossOf(training, phase, { images, labels, current });
      // Differentiation disposes what its function does not return.
      for (const [name, tensor] of Object.entries(newStatistics))
        statistics[name] = tf.keep(tensor);
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
  const { logits, statistics, outputs } = forward(network, images, {
    parameters: current,
    training: true,
    quantize: quantizers
      ? quantizeWith(quantizers.algorithm, quantizers.sites, current)
      : unquantized,
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
  const loss =
    quantizers && phase.loss
      ? phase.loss({
          crossEntropy,
          logits,
          labels: oneHot,
          output: (node) => outputOf(outputs, node),
          teacherOutput: teacherOutputs(quantizers.teacher, images),
          quantizers: new Map(quantizers.sites.map((site) => [site, valuesOf(site, current)])),
        })
      : crossEntropy;
  return { loss, newStatistics: statistics };
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
