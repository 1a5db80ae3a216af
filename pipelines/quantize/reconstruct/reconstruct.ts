import pow from "@stdlib/math-base-special-pow";
import cos from "@stdlib/math-base-special-cos";
import {
  type Engine,
  float32,
  type HostTensor,
  type HostTensors,
  onlyValue,
  permutation,
  randomStream,
  resumedStream,
  scalar,
  type StepTensors,
} from "../../engine/index.js";
import { DEFAULT_RECONSTRUCTION, type TrainingState } from "../../train/index.js";
import {
  blockUnits,
  existing,
  finished,
  inputName,
  layerUnits,
  type NodeValues,
  quantizeWith,
  type Rows,
  RowStorage,
  rowsOf,
  runPart,
  unquantized,
  valuesOfNode,
} from "../../network/index.js";
import { fisherWeights } from "./fisherWeights.js";
import { type BitPosition, RandomBits } from "./randomBits.js";
import { LearnedUnit, type ReconstructionTask } from "./learnedUnit.js";
import { ADAM } from "./learningStep.js";
import { StepCache } from "./stepCache.js";
import { UnitValues } from "./unitValues.js";

/** Weight of the term that pushes roundings to 0 or 1 (equation 21 of AdaRound). */
const REGULARIZATION = 0.01;
/** Part of the steps without that term, and its exponent from then on. */
const WARM_UP = 0.2;
const FIRST_EXPONENT = 20;
const LAST_EXPONENT = 2;
/** Scales of activations learn slower than roundings. */
const SCALE_RATE = 0.1;

/**
 * Learns roundings and activation scales so that each layer or block gives what it gives in
 * float, from the input to the output of the network; what is done already is quantized while the
 * next one learns. Where the last step of a unit leads is kept, as the authors of all methods do.
 */
export async function reconstruct(
  engine: Engine,
  task: ReconstructionTask,
): Promise<{ readonly tensors: HostTensors; readonly losses: Float32Array }> {
  const { network, algorithm, images } = task;
  const units =
    algorithm.reconstruction.unit === "layer" ? layerUnits(network) : blockUnits(network);
  const prediction = network.nodes.at(-1)?.name ?? "";
  const { fisher } = algorithm.reconstruction;
  const { storage = new RowStorage() } = task;
  const given = rowsOf(images);
  const quantized = new UnitValues(
    network,
    given,
    units.map(({ inputs }) => inputs),
  );
  // Also for units that were learned before a stop, and the prediction from the first of them: what
  // is computed from another tensor may have other last bits.
  const float = new UnitValues(
    network,
    given,
    units.map(({ inputs, output }) => [...inputs, output, ...(fisher ? [prediction] : [])]),
  );
  const steps = new StepCache(engine, task);
  const { keeper } = task;
  const found = keeper?.found;
  const losses: number[] = [...(found?.losses ?? [])];
  let { tensors } = found ?? task;
  const trained = new Set<string>();
  try {
    for (const [index, unit] of units.entries()) {
      const state = { unit, tensors, quantized: quantized.values, float: float.values, storage };
      await quantized.provide(index, (part, values) =>
        runPart(engine, {
          ...{ unit: part, values, tensors: state.tensors, storage },
          mode: (t) => deployedMode(task, t),
        }),
      );
      await float.provide(index, (part, values) =>
        runPart(engine, {
          ...{ unit: part, values, tensors: task.tensors, storage },
          mode: () => ({ quantize: unquantized }),
        }),
      );
      const learned = new LearnedUnit(task, unit, trained);
      if (found === undefined || index >= found.step) {
        const weights = fisher ? await fisherWeights(engine, task, state) : undefined;
        const before = { step: index, tensors };
        const result = await learn(steps, learned, {
          ...{ ...state, weights, task },
          from: index === found?.step ? positionIn(found) : undefined,
          keep: ({ losses: own, ...position }) =>
            keeper?.keep(() => ({
              ...before,
              losses: Float32Array.from([...losses, ...own]),
              accuracies: new Float32Array(0),
              ...stateOf(position),
            })),
        });
        weights?.release();
        tensors = { ...tensors, ...result.tensors };
        losses.push(...result.losses);
        task.onUnit?.({ step: index + 1, steps: units.length, loss: losses.at(-1) ?? 0 });
      } // else it was learned before the stop
      for (const values of [quantized, float]) values.forget(index);
      await steps.endUnit();
    }
  } finally {
    for (const values of [quantized, float]) values.release();
    await steps.release();
  }
  return { tensors, losses: Float32Array.from(losses) };
}

const deployedMode = ({ algorithm, sites }: ReconstructionTask, tensors: StepTensors) => ({
  quantize: quantizeWith(algorithm, sites, tensors),
});

/** Where the learning of a unit is between two steps. */
interface Position {
  readonly step: number;
  readonly current: HostTensors;
  readonly moments: HostTensors;
  readonly random: readonly number[];
  readonly bits: BitPosition;
}

/** A position as the state of a training holds it. */
const stateOf = ({ step, current, moments, random, bits }: Position) => ({
  momenta: new Map([
    [CURRENT, current],
    [MOMENTS, moments],
  ]),
  next: { order: random, changes: [bits.word, bits.left], start: step },
});
const CURRENT = 0;
const MOMENTS = 1;

function positionIn({ momenta, next }: TrainingState): Position {
  const [word = 0, left = 0] = next.changes;
  return {
    ...{ step: next.start, random: next.order, bits: { word, left } },
    current: momenta.get(CURRENT) ?? {},
    moments: momenta.get(MOMENTS) ?? {},
  };
}

interface Learning {
  readonly task: ReconstructionTask;
  readonly from: Position | undefined;
  /** Told after each step, with the losses of this unit since it began or went on. */
  readonly keep: (
    position: Position & { readonly losses: readonly number[] },
  ) => Promise<void> | undefined;
  readonly tensors: HostTensors;
  readonly quantized: NodeValues;
  readonly float: NodeValues;
  readonly weights: Rows | undefined;
}

/** @returns the learned tensors of the unit, finished, and the loss of each step */
async function learn(steps: StepCache, unit: LearnedUnit, learning: Learning) {
  const { task, tensors, quantized, float, weights, from, keep } = learning;
  const schedule = task.hyperparameters.reconstruction ?? DEFAULT_RECONSTRUCTION;
  const count = task.images.shape[0] ?? 0;
  const batchSize = Math.min(schedule.batchSize, count);
  const random =
    from === undefined
      ? randomStream(task.seed, `reconstruction/${unit.long(unit.output)}`)
      : resumedStream(from.random);
  const { drop, mixInput } = task.algorithm.reconstruction;
  const target = valuesOfNode(float, unit.long(unit.output));
  let current = from?.current ?? unit.pick(tensors);
  let moments: HostTensors =
    from?.moments ??
    Object.fromEntries(
      unit.learned.flatMap((name) =>
        ["first", "second"].map((moment) => {
          const { shape, data } = existing(current, name);
          return [`${name} ${moment}`, float32(new Float32Array(data.length), shape)];
        }),
      ),
    );
  /** What a step reads besides the unit's tensors, for chosen images. */
  const batch = (indices: ArrayLike<number>): HostTensors => ({
    target: target.at(indices),
    ...(weights && { weights: weights.at(indices) }),
    ...Object.fromEntries(
      unit.inputs.map((name) => {
        const exact = valuesOfNode(quantized, name).at(indices);
        return [
          inputName(unit.short(name)),
          mixInput ? mix(exact, valuesOfNode(float, name).at(indices), bits.draw) : exact,
        ];
      }),
    ),
  });
  const bits = new RandomBits(() => random.integer(2 ** 31), from?.bits);
  const masks = (): HostTensors => (drop === 0 ? {} : keptValues(unit, batchSize, bits.draw));
  const losses: number[] = [];
  if (unit.learned.length === 0) return { tensors: {}, losses };
  for (let step = from?.step ?? 0; step < schedule.steps; step++) {
    const progress = step / schedule.steps;
    const late = Math.max(0, (progress - WARM_UP) / (1 - WARM_UP));
    const indices = permutation(count, random).subarray(0, batchSize);
    const inputs: HostTensors = {
      ...current,
      ...moments,
      ...batch(indices),
      ...masks(),
      rate: scalar(schedule.learningRate),
      scaleRate: scalar(schedule.learningRate * SCALE_RATE * cosine(progress)),
      exponent: scalar(FIRST_EXPONENT + (LAST_EXPONENT - FIRST_EXPONENT) * late),
      regularization: scalar(progress < WARM_UP ? 0 : REGULARIZATION),
      firstCorrection: scalar(1 / (1 - pow(ADAM.first, step + 1))),
      secondCorrection: scalar(1 / (1 - pow(ADAM.second, step + 1))),
    };
    const outputs = await (await steps.get(unit, inputs)).run(inputs);
    losses.push(onlyValue(outputs["loss"]));
    current = take(current, outputs);
    moments = take(moments, outputs);
    const position = { step: step + 1, current, moments, random: random.state() };
    await keep({ ...position, bits: bits.position, losses });
  }
  const result = finished(task.algorithm, unit.sites, current);
  return {
    tensors: Object.fromEntries(
      unit.learned.map((name) => [unit.long(name), existing(result, name)]),
    ),
    losses,
  };
}

/** For each activation, which values of a batch stay unquantized in one step: a random bit each. */
function keptValues(unit: LearnedUnit, batchSize: number, bits: () => number): HostTensors {
  return Object.fromEntries(
    unit.sites
      .filter(({ role }) => role === "activation")
      .map(({ id, shape }) => {
        const size = shape.reduce((a, b) => a * b, 1) * batchSize;
        const data = new Float32Array(size);
        for (let i = 0; i < size; i++) data[i] = bits();
        return [`${id} kept`, { dtype: "float32", shape: [batchSize, ...shape], data }];
      }),
  );
}

const cosine = (progress: number): number => (1 + cos(Math.PI * progress)) / 2;

function take(old: HostTensors, outputs: HostTensors): Record<string, HostTensor> {
  return Object.fromEntries(
    Object.entries(old).map(([name, tensor]) => [name, outputs[name] ?? tensor]),
  );
}

/** Each element from one of the two, at random. */
function mix(a: HostTensor, b: HostTensor, bits: () => number): HostTensor {
  const data = new Float32Array(a.data.length);
  for (let i = 0; i < data.length; i++) data[i] = (bits() === 1 ? a.data[i] : b.data[i]) ?? 0;
  return { dtype: "float32", shape: a.shape, data };
}
