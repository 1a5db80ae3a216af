import * as tf from "@tensorflow/tfjs";
import type { Algorithm, QuantizerSite, Reconstruction } from "../algorithms/algorithm.js";
import { rectifiedSigmoid } from "../algorithms/softRounding.js";
import type { CompiledStep, Engine, HostTensor, HostTensors, StepTensors } from "./engine/index.js";
import { float32, onlyValue, scalar } from "./engine/index.js";
import { DEFAULT_RECONSTRUCTION, type Hyperparameters } from "./hyperparameters.js";
import { forward } from "./network/forward.js";
import type { QuantizedNetwork } from "./network/placeQuantizers.js";
import { blockUnits, layerUnits, unitBetween, type Unit } from "./network/units.js";
import {
  chosenRows,
  existing,
  inputName,
  mapBatches,
  runPart,
  valuesOfNode,
  type NodeValues,
} from "./parts.js";
import { finished, quantizerOf, quantizeWith, unquantized, valueName } from "./quantizers.js";
import { randomStream } from "./random.js";
import type { TrainingProgress } from "./train.js";

/** Weight of the term that pushes roundings to 0 or 1 (equation 21 of AdaRound). */
const REGULARIZATION = 0.01;
/** Part of the steps without that term, and its exponent from then on. */
const WARM_UP = 0.2;
const FIRST_EXPONENT = 20;
const LAST_EXPONENT = 2;
/** Scales of activations learn slower than roundings. */
const SCALE_RATE = 0.1;
/** How often the deployed error is looked at, and after how many looks without gain it ends. */
const LOOKS = 10;
const PATIENCE = 4;

export interface ReconstructionTask extends QuantizedNetwork {
  readonly algorithm: Algorithm & { readonly reconstruction: Reconstruction };
  /** Parameters and calibrated quantizers. */
  readonly tensors: HostTensors;
  /** Normalized calibration images, [count, height, width, channels]. */
  readonly images: HostTensor;
  readonly hyperparameters: Hyperparameters;
  readonly seed: number;
  readonly onUnit?: (progress: TrainingProgress) => void;
}

/**
 * Learns roundings and activation scales so that each layer or block gives what it gives in
 * float, from the input to the output of the network; what is done already is quantized while the
 * next one learns. The best state of each unit is kept, that of the start included.
 */
export async function reconstruct(
  engine: Engine,
  task: ReconstructionTask,
): Promise<{ readonly tensors: HostTensors; readonly losses: Float32Array }> {
  const { network, algorithm, images } = task;
  const units =
    algorithm.reconstruction.unit === "layer" ? layerUnits(network) : blockUnits(network);
  const input = network.nodes[0]?.name ?? "";
  const quantized = new Map([[input, images]]);
  const float = new Map([[input, images]]);
  const steps = new StepCache(engine, task);
  const losses: number[] = [];
  let { tensors } = task;
  const trained = new Set<string>();
  try {
    for (const [index, unit] of units.entries()) {
      await provide(unit.inputs, quantized, (part, values) =>
        runPart(engine, { unit: part, values, tensors, mode: (t) => deployedMode(task, t) }),
      );
      await provide([...unit.inputs, unit.output], float, (part, values) =>
        runPart(engine, {
          unit: part,
          values,
          tensors: task.tensors,
          mode: () => ({ quantize: unquantized }),
        }),
      );
      const learned = new LearnedUnit(task, unit, trained);
      const weights = algorithm.reconstruction.fisher
        ? await fisherWeights(engine, task, { unit, tensors, quantized, float })
        : undefined;
      const result = await learn(steps, learned, { tensors, quantized, float, weights, task });
      tensors = { ...tensors, ...result.tensors };
      losses.push(...result.losses);
      task.onUnit?.({ step: index + 1, steps: units.length, loss: losses.at(-1) ?? 0 });
    }
  } finally {
    await steps.release();
  }
  return { tensors, losses: Float32Array.from(losses) };

  /** Computes the tensors that are asked for from those that are there. */
  async function provide(
    names: readonly string[],
    values: Map<string, HostTensor>,
    run: (unit: Unit, values: NodeValues) => Promise<HostTensor>,
  ): Promise<void> {
    for (const name of names) {
      if (values.has(name)) continue;
      values.set(name, await run(unitBetween(network, new Set(values.keys()), name), values));
    }
  }
}

const deployedMode = ({ algorithm, sites }: ReconstructionTask, tensors: StepTensors) => ({
  quantize: quantizeWith(algorithm, sites, tensors),
});

/** A unit under names that units of the same shape share, so that they share a compiled step. */
class LearnedUnit {
  readonly network: Unit["network"];
  readonly output: string;
  readonly inputs: readonly string[];
  readonly sites: readonly QuantizerSite[];
  /** Names of the tensors that are learned, in the unit's naming. */
  readonly learned: readonly string[];
  /** Roundings among them, which end at 0 or 1. */
  readonly roundings: readonly string[];
  readonly key: string;
  readonly #short = new Map<string, string>();
  readonly #long = new Map<string, string>();

  constructor({ algorithm, sites, tensors }: ReconstructionTask, unit: Unit, trained: Set<string>) {
    unit.network.nodes.forEach((node, i) => {
      this.#name(node.name, `n${String(i)}`);
      if (node.op === "conv2d" && node.foldedBatchNorm !== undefined)
        this.#name(node.foldedBatchNorm, `b${String(i)}`);
    });
    const rename = (name: string): string => this.#short.get(name) ?? name;
    this.network = {
      nodes: unit.network.nodes.map((node) => {
        const named = { ...node, name: rename(node.name) };
        if ("inputs" in named)
          return { ...named, inputs: [rename(named.inputs[0]), rename(named.inputs[1])] as const };
        if (named.op === "input") return named;
        if (named.op === "conv2d" && named.foldedBatchNorm !== undefined)
          return {
            ...named,
            input: rename(named.input),
            foldedBatchNorm: rename(named.foldedBatchNorm),
          };
        return { ...named, input: rename(named.input) };
      }),
    };
    this.inputs = unit.inputs;
    this.output = rename(unit.output);
    const inside = sites.filter((site) => this.#isInside(site.id));
    const fresh = inside.filter(({ id }) => !trained.has(id));
    for (const { id } of fresh) trained.add(id);
    const names = (site: QuantizerSite, wanted: (name: string) => boolean) =>
      quantizerOf(algorithm, site)
        .learned.filter(wanted)
        .map((name) => valueName(site, name))
        .filter((name) => name in tensors)
        .map((name) => this.short(name));
    this.sites = inside.map((site) => ({ ...site, id: this.short(site.id) }));
    this.roundings = fresh.flatMap((site) => names(site, (name) => name === "rounding"));
    const scales = fresh.flatMap((site) => names(site, (name) => name === "scale"));
    this.learned = [...this.roundings, ...scales];
    this.key = JSON.stringify([this.network, this.sites, this.learned]);
  }

  #name(long: string, short: string): void {
    this.#short.set(long, short);
    this.#long.set(short, long);
  }

  #isInside(site: string): boolean {
    return this.#short.has(site) || this.#short.has(site.replace(/\/kernel$/, ""));
  }

  /** "s0.0.a/kernel:scale" -> "n3/kernel:scale"; sites of activations are nodes themselves. */
  short(name: string): string {
    return renamed(name, this.#short);
  }

  long(name: string): string {
    return renamed(name, this.#long);
  }

  /** The tensors of the unit, in its naming. */
  pick(tensors: HostTensors): HostTensors {
    return Object.fromEntries(
      Object.entries(tensors).flatMap(([name, tensor]) => {
        const short = this.short(name);
        return short === name ? [] : [[short, tensor]];
      }),
    );
  }
}

function renamed(name: string, names: ReadonlyMap<string, string>): string {
  const [node = name, value] = name.split(":", 2) as [string, string?];
  const suffix = value === undefined ? "" : `:${value}`;
  const whole = names.get(node);
  if (whole !== undefined) return whole + suffix;
  const parameter = /^(.*)(\/(?:kernel|bias|gamma|beta|mean|variance))$/.exec(node);
  const owner = names.get(parameter?.[1] ?? "");
  return owner === undefined ? name : `${owner}${parameter?.[2] ?? ""}${suffix}`;
}

/** Compiled steps by the shape of what they learn. */
class StepCache {
  readonly #engine: Engine;
  readonly #task: ReconstructionTask;
  readonly #compiled = new Map<string, Promise<CompiledStep>>();

  constructor(engine: Engine, task: ReconstructionTask) {
    this.#engine = engine;
    this.#task = task;
  }

  /** A step that learns, or one that only measures the error as deployed. */
  async get(unit: LearnedUnit, learns: boolean, inputs: HostTensors): Promise<CompiledStep> {
    const key = `${String(learns)} ${unit.key} ${JSON.stringify(Object.keys(inputs))}`;
    const known =
      this.#compiled.get(key) ??
      this.#engine.compile(
        learns ? learningStep(this.#task, unit) : errorStep(this.#task, unit),
        inputs,
      );
    this.#compiled.set(key, known);
    return known;
  }

  async release(): Promise<void> {
    for (const step of this.#compiled.values()) await (await step).release();
  }
}

interface Learning {
  readonly task: ReconstructionTask;
  readonly tensors: HostTensors;
  readonly quantized: NodeValues;
  readonly float: NodeValues;
  readonly weights: HostTensor | undefined;
}

/** @returns the learned tensors of the unit, finished, and the loss of each step */
async function learn(steps: StepCache, unit: LearnedUnit, learning: Learning) {
  const { task, tensors, quantized, float, weights } = learning;
  const schedule = task.hyperparameters.reconstruction ?? DEFAULT_RECONSTRUCTION;
  const count = task.images.shape[0] ?? 0;
  const batchSize = Math.min(schedule.batchSize, count);
  const random = randomStream(task.seed, `reconstruction/${unit.long(unit.output)}`);
  const { drop, mixInput } = task.algorithm.reconstruction;
  const target = valuesOfNode(float, unit.long(unit.output));
  let current = unit.pick(tensors);
  let moments = Object.fromEntries(
    unit.learned.flatMap((name) =>
      ["first", "second"].map((moment) => {
        const { shape, data } = existing(current, name);
        return [`${name} ${moment}`, float32(new Float32Array(data.length), shape)];
      }),
    ),
  );
  /** What a step reads besides the unit's tensors, for chosen images. */
  const batch = (indices: ArrayLike<number>, learns: boolean): HostTensors => ({
    target: chosenRows(target, indices),
    ...(weights && { weights: chosenRows(weights, indices) }),
    ...Object.fromEntries(
      unit.inputs.map((name) => {
        const exact = chosenRows(valuesOfNode(quantized, name), indices);
        const mixed = learns && mixInput;
        return [
          inputName(unit.short(name)),
          mixed ? mix(exact, chosenRows(valuesOfNode(float, name), indices), bits) : exact,
        ];
      }),
    ),
  });
  const bits = randomBits(() => random.integer(2 ** 31));
  const masks = (): HostTensors =>
    drop === 0
      ? {}
      : Object.fromEntries(
          unit.sites
            .filter(({ role }) => role === "activation")
            .map(({ id, shape }) => {
              const size = shape.reduce((a, b) => a * b, 1) * batchSize;
              const data = Float32Array.from({ length: size }, () => bits());
              return [`${id} kept`, float32(data, [batchSize, ...shape])];
            }),
        );
  const looked = Uint32Array.from({ length: Math.min(count, 4 * batchSize) }, (_, i) => i);
  const errorOf = async (): Promise<number> => {
    const deployed = finished(task.algorithm, unit.sites, current);
    const inputs = { ...deployed, ...batch(looked, false) };
    const { error } = await (await steps.get(unit, false, inputs)).run(inputs);
    return onlyValue(error);
  };

  const losses: number[] = [];
  let best = { error: await errorOf(), tensors: current };
  let looksWithoutGain = 0;
  const lookEvery = Math.max(1, Math.floor(schedule.steps / LOOKS));
  if (unit.learned.length === 0) return { tensors: {}, losses };
  for (let step = 0; step < schedule.steps; step++) {
    const progress = step / schedule.steps;
    const late = Math.max(0, (progress - WARM_UP) / (1 - WARM_UP));
    const indices = Uint32Array.from({ length: batchSize }, () => random.integer(count));
    const inputs: HostTensors = {
      ...current,
      ...moments,
      ...batch(indices, true),
      ...masks(),
      rate: scalar(schedule.learningRate),
      scaleRate: scalar(schedule.learningRate * SCALE_RATE * cosine(progress)),
      exponent: scalar(FIRST_EXPONENT + (LAST_EXPONENT - FIRST_EXPONENT) * late),
      regularization: scalar(progress < WARM_UP ? 0 : REGULARIZATION),
      firstCorrection: scalar(1 / (1 - ADAM.first ** (step + 1))),
      secondCorrection: scalar(1 / (1 - ADAM.second ** (step + 1))),
    };
    const outputs = await (await steps.get(unit, true, inputs)).run(inputs);
    losses.push(onlyValue(outputs["loss"]));
    current = take(current, outputs);
    moments = take(moments, outputs);
    if ((step + 1) % lookEvery !== 0 && step + 1 !== schedule.steps) continue;
    const error = await errorOf();
    if (error < best.error) {
      best = { error, tensors: current };
      looksWithoutGain = 0;
    } else if (progress > 0.5 && ++looksWithoutGain >= PATIENCE) break;
  }
  const result = finished(task.algorithm, unit.sites, best.tensors);
  return {
    tensors: Object.fromEntries(
      unit.learned.map((name) => [unit.long(name), existing(result, name)]),
    ),
    losses,
  };
}

const ADAM = { first: 0.9, second: 0.999, epsilon: 1e-8 } as const;
const cosine = (progress: number): number => (1 + Math.cos(Math.PI * progress)) / 2;

function take(old: HostTensors, outputs: HostTensors): Record<string, HostTensor> {
  return Object.fromEntries(
    Object.entries(old).map(([name, tensor]) => [name, outputs[name] ?? tensor]),
  );
}

/** One random bit after another, 0 or 1, of 31 in each number drawn. */
function randomBits(draw: () => number): () => number {
  let [word, left] = [0, 0];
  return () => {
    if (left === 0) [word, left] = [draw(), 31];
    const bit = word & 1;
    word >>>= 1;
    left -= 1;
    return bit;
  };
}

/** Each element from one of the two, at random. */
function mix(a: HostTensor, b: HostTensor, bits: () => number): HostTensor {
  const data = Float32Array.from(a.data, (value, i) => (bits() === 1 ? value : (b.data[i] ?? 0)));
  return float32(data, a.shape);
}

/** Sum over channels of the squared error, averaged over all else (lp_loss of the authors' code). */
function reconstructionError(y: tf.Tensor, { target, weights }: StepTensors): tf.Scalar {
  const difference = tf.sub(y, target ?? y);
  const squared = tf.mul(difference, difference);
  const weighed = weights === undefined ? squared : tf.mul(squared, tf.mul(weights, weights));
  return tf.mul(tf.mean<tf.Scalar>(weighed), y.shape.at(-1) ?? 1);
}

function outputOf(task: ReconstructionTask, unit: LearnedUnit, current: StepTensors): tf.Tensor {
  const quantize = quantizeWith(task.algorithm, unit.sites, current);
  const { outputs } = forward(unit.network, (name) => existing(current, inputName(name)), {
    parameters: current,
    training: false,
    quantize(id, x) {
      const y = quantize(id, x);
      const kept = current[`${id} kept`];
      return kept === undefined ? y : tf.add(x, tf.mul(kept, tf.sub(y, x)));
    },
  });
  const output = outputs.get(unit.output);
  if (output === undefined) throw new Error(`no node "${unit.output}"`);
  return output;
}

function errorStep(task: ReconstructionTask, unit: LearnedUnit) {
  return (current: StepTensors) => ({
    error: reconstructionError(outputOf(task, unit, current), current),
  });
}

/** One step of Adam on the roundings and scales of a unit. */
function learningStep(task: ReconstructionTask, unit: LearnedUnit) {
  return (inputs: StepTensors): Record<string, tf.Tensor> => {
    const input = (name: string): tf.Tensor => existing(inputs, name);
    const objective = (...learned: tf.Tensor[]): tf.Scalar => {
      const current = {
        ...inputs,
        ...Object.fromEntries(unit.learned.map((name, i) => [name, learned[i] as tf.Tensor])),
      };
      const error = reconstructionError(outputOf(task, unit, current), current);
      const undecided = unit.roundings.map((name) => {
        const h = rectifiedSigmoid(existing(current, name));
        const distance = tf.abs(tf.sub(tf.mul(h, 2), 1));
        // A little above 0, where the power has a derivative.
        return tf.sum<tf.Scalar>(tf.sub(1, tf.pow(tf.add(distance, 1e-6), input("exponent"))));
      });
      return undecided.reduce(
        (sum, term) => tf.add<tf.Scalar>(sum, tf.mul(term, input("regularization"))),
        error,
      );
    };
    const { value, grads } = tf.valueAndGrads(objective)(unit.learned.map(input));
    const outputs: Record<string, tf.Tensor> = { loss: value };
    unit.learned.forEach((name, i) => {
      const gradient = grads[i];
      if (gradient === undefined) throw new Error(`no gradient reaches "${name}"`);
      const average = (moment: string, decay: number, latest: tf.Tensor) =>
        tf.add(tf.mul(input(`${name} ${moment}`), decay), tf.mul(latest, 1 - decay));
      const first = average("first", ADAM.first, gradient);
      const second = average("second", ADAM.second, tf.mul(gradient, gradient));
      const deviation = tf.sqrt(tf.mul(second, input("secondCorrection")));
      const direction = tf.div(
        tf.mul(first, input("firstCorrection")),
        tf.add(deviation, ADAM.epsilon),
      );
      const isRounding = unit.roundings.includes(name);
      // Adam moves by its rate whatever the gradient's size, so that of a scale follows the scale.
      const rate = isRounding ? input("rate") : tf.mul(input("scaleRate"), tf.abs(input(name)));
      outputs[`${name} first`] = first;
      outputs[`${name} second`] = second;
      outputs[name] = tf.sub(input(name), tf.mul(direction, rate));
    });
    return outputs;
  };
}

/**
 * BRECQ's weights: the magnitude of the gradient of the divergence between the float network's
 * prediction and that with the quantized unit, at the unit's output, plus 1.
 */
async function fisherWeights(
  engine: Engine,
  task: ReconstructionTask,
  state: {
    readonly unit: Unit;
    readonly tensors: HostTensors;
    readonly quantized: NodeValues;
    readonly float: Map<string, HostTensor>;
  },
): Promise<HostTensor | undefined> {
  const { network } = task;
  const { unit, tensors, quantized, float } = state;
  const last = network.nodes.at(-1)?.name ?? "";
  if (unit.output === last) return undefined; // nothing lies behind it
  const mode = () => ({ quantize: unquantized });
  const logits =
    float.get(last) ??
    (await runPart(engine, {
      unit: unitBetween(network, new Set([unit.output]), last),
      values: float,
      tensors: task.tensors,
      mode,
    }));
  float.set(last, logits);
  const output = await runPart(engine, {
    unit,
    values: quantized,
    tensors,
    mode: (current) => deployedMode(task, current),
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
      return tf.neg(tf.sum<tf.Scalar>(tf.mul(exact, tf.logSoftmax(reached))));
    };
    const gradient = tf.grad(divergence)(existing(current, inputName("output")));
    return { result: tf.add(tf.abs(gradient), 1) };
  };
  return mapBatches(engine, step, {
    inputs: ["output", "logits"],
    tensors: task.tensors,
    values: new Map([
      ["output", output],
      ["logits", logits],
    ]),
  });
}
