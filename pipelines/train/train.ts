import { phasesOf, type Phase, type QuantizerSite } from "../../algorithms/algorithm.js";
import { trainingBatches, type Batch } from "./data.js";
import {
  onlyValue,
  scalar,
  type CompiledStep,
  type Engine,
  type HostTensor,
  type HostTensors,
  type StepFunction,
} from "../engine/index.js";
import { predictions } from "./evaluate.js";
import { learningRateAt, stepCount } from "./hyperparameters.js";
import { existing, parameterSpecs, quantizerOf, toHost, valueName } from "../network/index.js";
import { notFinite, type Training, type TrainingResult } from "./training.js";
import { LOGITS, momentumOf, trainingStep } from "./trainingStep.js";

const WHOLE_TRAINING: Phase = { name: "train", share: 1, trains: ["weights"] };

/**
 * Trains by stochastic gradient descent. Every algorithm gets the same batches in the same order
 * and the same learning rates; only what its quantizers compute differs.
 */
export async function train(engine: Engine, training: Training): Promise<TrainingResult> {
  const { dataset, hyperparameters, schedule, seed, name, keeper } = training;
  const { batchSize, augmentation } = hyperparameters;
  const found = keeper?.found;
  const from = found?.next;
  const batches = trainingBatches(dataset, { batchSize, augmentation, seed, name, from });
  const steps = stepCount(schedule, dataset.train.count, batchSize);
  const losses = new Float32Array(steps);
  const accuracies = new Float32Array(steps);
  losses.set(found?.losses ?? []);
  accuracies.set(found?.accuracies ?? []);
  const started = performance.now();
  const firstStep = found?.step ?? 0;
  const phases = phasesOfTraining(training);
  let tensors = found?.tensors ?? training.tensors;
  let step = firstStep;
  let endShare = 0;
  const known = new Map<number, RunningPhase>(); // a phase that comes back goes on where it was
  try {
    for (const phase of phases) {
      endShare += phase.share;
      const end = Math.round(endShare * steps);
      if (step >= end) continue;
      const place = phases.indexOf(phase);
      const running =
        known.get(place) ??
        new RunningPhase(engine, { ...training, tensors }, phase, found?.momenta.get(place));
      known.set(place, running);
      running.tensors = tensors;
      for (; step < end; step++) {
        const rate = learningRateAt(schedule, step, steps);
        running.anneal(step / steps);
        running.adapt((step + 1) / steps);
        const batch = batches.next().value;
        const { loss, accuracy } = await running.step(batch, rate);
        losses[step] = loss;
        accuracies[step] = accuracy;
        if (!Number.isFinite(loss)) {
          return {
            tensors: running.tensors,
            losses: losses.slice(0, step + 1),
            accuracies: accuracies.slice(0, step + 1),
            divergedAt: step,
          };
        }
        training.onStep?.({
          step: step + 1,
          steps,
          loss,
          epoch: ((step + 1) * batchSize) / dataset.train.count,
          epochs: schedule.epochs,
          imagesPerSecond:
            (1000 * (step + 1 - firstStep) * batchSize) / (performance.now() - started),
        });
        await keeper?.keep(() => ({
          step: step + 1,
          losses: losses.slice(0, step + 1),
          accuracies: accuracies.slice(0, step + 1),
          tensors: running.tensors,
          momenta: new Map([
            ...(found?.momenta ?? []),
            ...[...known].map(([at, { momenta }]) => [at, momenta] as const),
          ]),
          next: batch.next,
        }));
      }
      ({ tensors } = running);
    }
  } finally {
    for (const running of known.values()) await running.release();
  }
  const isBroken = notFinite(tensors) !== undefined;
  return { tensors, losses, accuracies, ...(isBroken && { divergedAt: steps - 1 }) };
}

function phasesOfTraining({ quantizers, network }: Training): readonly Phase[] {
  return quantizers === undefined ? [WHOLE_TRAINING] : phasesOf(quantizers.algorithm, network);
}

/** A phase of a training, one step at a time. */
export class RunningPhase {
  readonly #engine: Engine;
  readonly #training: Training;
  readonly #phase: Phase;
  readonly #step: StepFunction;
  #tensors: HostTensors;
  #momenta: HostTensors;
  #compiled: CompiledStep | undefined;

  /** @param momenta those with which the phase goes on; zeros at its start */
  constructor(
    engine: Engine,
    training: Training,
    phase: Phase = WHOLE_TRAINING,
    momenta?: HostTensors,
  ) {
    const names = trainedNames(training, phase);
    this.#engine = engine;
    this.#training = training;
    this.#phase = phase;
    this.#step = trainingStep(training, phase, names);
    this.#tensors = training.tensors;
    this.#momenta = momenta ?? zerosFor(names, training.tensors);
  }

  get tensors(): HostTensors {
    return this.#tensors;
  }

  get momenta(): HostTensors {
    return this.#momenta;
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

  /** Sets the quantizer values that follow the weights. */
  adapt(progress: number): void {
    const { adapts } = this.#phase;
    if (adapts === undefined) return;
    const seen = new Map(
      (this.#training.quantizers?.sites ?? [])
        .filter(({ role }) => role === "weight")
        .map((site) => [site, weightsAt(site, this.#tensors)]),
    );
    for (const [site, values] of adapts(progress, seen) ?? [])
      this.#tensors = { ...this.#tensors, ...toHost(site, values) };
  }

  /** @returns loss and accuracy before the step; when the loss is not finite, nothing has changed */
  async step(
    { images, labels }: Batch,
    rate: number,
  ): Promise<{ readonly loss: number; readonly accuracy: number }> {
    const learningRate = scalar(rate);
    const inputs = { images, labels, learningRate, ...this.#tensors, ...this.#momenta };
    this.#compiled ??= await this.#engine.compile(this.#step, inputs);
    const outputs = await this.#compiled.run(inputs);
    const loss = onlyValue(outputs["loss"]);
    if (Number.isFinite(loss)) {
      this.#tensors = pick(outputs, this.#tensors);
      this.#momenta = pick(outputs, this.#momenta);
    }
    const logits = outputs[LOGITS]?.data as Float32Array;
    const guesses = predictions(logits, logits.length / labels.data.length);
    const right = guesses.filter((guess, i) => guess === labels.data[i]).length;
    return { loss, accuracy: right / guesses.length };
  }

  async release(): Promise<void> {
    await this.#compiled?.release();
  }
}

/** A site's kernel and the values of its quantizer. */
function weightsAt(site: QuantizerSite, tensors: HostTensors) {
  const prefix = valueName(site, "");
  const values = Object.entries(tensors)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, { data }]) => [name.slice(prefix.length), Float32Array.from(data)] as const);
  const { data } = existing(tensors, site.id);
  return { weights: Float32Array.from(data), values: Object.fromEntries(values) };
}

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

/** The entries of `outputs` that `names` has, in its order; what a step does not change stays. */
function pick(outputs: HostTensors, names: HostTensors): HostTensors {
  return Object.fromEntries(
    Object.entries(names).map(([name, old]): [string, HostTensor] => [name, outputs[name] ?? old]),
  );
}
