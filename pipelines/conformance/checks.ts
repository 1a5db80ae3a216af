import * as tf from "#tf";
import type { Codebook, QuantizerSite } from "../../algorithms/algorithm.js";
import { rangeOf } from "../../algorithms/affine.js";
import { roundHalfToEven } from "../../algorithms/observers/index.js";
import type { Check } from "./check.js";
import { staysFinite } from "./extremes.js";
import { gridProblem } from "./gridProblem.js";
import { passesInRange } from "./inRange.js";
import { gradientsAreWhole, gradientsFollowBatch } from "./wholeGradients.js";
import {
  calibrated,
  finishedValues,
  numbers,
  sample,
  scaleCount,
  SHAPE,
  toTensors,
  trainedFor,
  valueGradients,
  type Subject,
} from "./subject.js";

const STEPS = 8;

const valuesAreFinite: Check = {
  name: "first values are finite and contain what is learned",
  run({ quantizer, values }) {
    for (const [name, { data }] of Object.entries(values)) {
      const wrong = data.find((value) => !Number.isFinite(value));
      if (wrong !== undefined) return `${name} starts as ${String(wrong)}`;
    }
    const missing = quantizer.learned.length > 0 && !quantizer.learned.some((n) => n in values);
    return missing && Object.keys(values).length === 0
      ? `learns ${quantizer.learned.join(", ")}, but starts with none of them`
      : undefined;
  },
};

const onGrid: Check = {
  name: "values lie on at most 2^bits levels of a valid grid",
  run: gridProblem,
};

const onGridAfterTraining: Check = {
  name: "they still do after steps of training",
  run: (subject) => gridProblem(trainedFor(subject, STEPS, 0.02)),
};

const manyLevels: Check = {
  name: "uses more than one level",
  run(subject) {
    const { quantizer, site } = subject;
    // Large enough for a bound that starts at 6, as PACT's, to leave more than 0 at 2 bits.
    const x = tf.mul(sample(site, 3), 5);
    const y = numbers(quantizer.fakeQuantize(x, finishedValues(subject), site));
    return new Set(y).size > 1 ? undefined : `gives ${String(y[0])} for everything`;
  },
};

const keepsOrder: Check = {
  name: "keeps the order of values",
  run(subject) {
    const { quantizer, site } = subject;
    const x = sample(site, 3);
    const y = quantizer.fakeQuantize(x, finishedValues(subject), site);
    const channel = (tensor: tf.Tensor) => numbers(tf.slice(tensor, [0, 0, 0, 2], [3, 3, 4, 1]));
    const [before, after] = [channel(x), channel(y)];
    // Values whose rounding was learned apart may swap within a step; clusters are those of other values.
    const isOfOthers = ["rounding", "labels"].some((value) => value in subject.values);
    const slack = isOfOthers ? Infinity : 1e-5;
    const order = [...before.keys()].sort((a, b) => (before[a] ?? 0) - (before[b] ?? 0));
    const wrong = order.findIndex(
      (index, i) => i > 0 && (after[index] ?? 0) < (after[order[i - 1] ?? 0] ?? 0) - slack,
    );
    return wrong < 0 ? undefined : `a larger value became a smaller one at rank ${String(wrong)}`;
  },
};

const keepsZero: Check = {
  name: "represents 0 exactly",
  run(subject) {
    const { quantizer, site } = subject;
    // A learned rounding belongs to the weights that it was learned for.
    if ("rounding" in subject.values) return undefined;
    if (site.scheme.bitWidth === 1 && site.scheme.signed) return undefined; // -1 or 1
    const state = finishedValues(subject);
    const x = sample(site, 3);
    const mask = tf.tensor(
      numbers(x).map((_, i) => i % 2),
      [...SHAPE],
    );
    const withZeros = tf.mul(x, mask);
    const weight = site.role === "weight" ? withZeros : undefined;
    const codebook = quantizer.codebook?.(state, site, weight);
    if (codebook !== undefined && !numbers(codebook.levels).includes(0)) return undefined;
    // APoT's and others' weights are moved before they are quantized.
    if (codebook !== undefined && site.role === "weight") return undefined;
    const y = numbers(quantizer.fakeQuantize(withZeros, state, site));
    const wrong = numbers(withZeros).findIndex((value, i) => value === 0 && y[i] !== 0);
    return wrong < 0 ? undefined : `0 became ${String(y[wrong])}`;
  },
};

const changesNothingTwice: Check = {
  name: "changes nothing the second time",
  run(subject) {
    const { quantizer, site } = subject;
    const state = finishedValues(subject);
    // Where the grid follows the tensor, or the output is normalized, a second pass is another.
    const ownGrid = site.role === "weight" && Object.keys(subject.values).length === 0;
    if (ownGrid || "logits" in subject.values || "rounding" in subject.values) return undefined;
    if (quantizer.codebook?.(state, site) !== undefined) return undefined;
    const once = quantizer.fakeQuantize(sample(site, 3), state, site);
    const twice = numbers(quantizer.fakeQuantize(once, state, site));
    const wrong = numbers(once).findIndex((value, i) => Math.abs((twice[i] ?? NaN) - value) > 1e-5);
    return wrong < 0 ? undefined : `${String(numbers(once)[wrong])} became ${String(twice[wrong])}`;
  },
};

/** Values with every tie of a grid, and far beyond it. */
function tieRich(scale: number, zeroPoint: number, site: QuantizerSite): number[] {
  const { quantMin, quantMax } = rangeOf(site);
  const size = SHAPE.reduce((a, b) => a * b);
  const span = quantMax - quantMin + 4;
  return Array.from({ length: size }, (_, i) => {
    const steps = quantMin - zeroPoint - 2 + (((i * 37) % (2 * span)) + 1) / 2;
    const value = steps * scale;
    return site.nonNegative ? Math.abs(value) : value;
  });
}

/** float32 arithmetic of ONNX QuantizeLinear and DequantizeLinear, independent of tfjs. */
function deployedValue(x: number, scale: number, zeroPoint: number, site: QuantizerSite): number {
  const { quantMin, quantMax, rounding } = rangeOf(site);
  const steps = Math.fround(x / scale);
  const rounded =
    rounding === "dpu" && steps < 0 ? Math.floor(steps + 0.5) : roundHalfToEven(steps);
  const code = Math.min(Math.max(rounded + zeroPoint, quantMin), quantMax);
  return Math.fround((code - zeroPoint) * scale);
}

const equalsDeployment: Check = {
  name: "activations equal what the device computes, ties included",
  run(subject) {
    const { quantizer, site } = subject;
    if (site.role !== "activation") return undefined;
    const state = finishedValues(subject);
    const codebook = quantizer.codebook?.(state, site);
    if (codebook !== undefined) return bisectionProblem(subject, codebook);
    const grid = quantizer.quantParams(state, site);
    const [scale = NaN, zeroPoint = NaN] = [numbers(grid.scale)[0], numbers(grid.zeroPoint)[0]];
    const x = Float32Array.from(tieRich(scale, zeroPoint, site));
    const y = numbers(quantizer.fakeQuantize(tf.tensor(x, [...SHAPE]), state, site));
    const wrong = x.findIndex(
      (value, i) =>
        Math.abs((y[i] ?? NaN) - deployedValue(value, scale, zeroPoint, site)) > scale * 1e-3,
    );
    if (wrong < 0) return undefined;
    const steps = (x[wrong] ?? 0) / scale;
    return `${String(steps)} steps became ${String((y[wrong] ?? 0) / scale)}, on the device ${String(deployedValue(x[wrong] ?? 0, scale, zeroPoint, site) / scale)}`;
  },
};

function bisectionProblem({ quantizer, site, values }: Subject, codebook: Codebook) {
  const [levels, thresholds] = [numbers(codebook.levels), numbers(codebook.thresholds)];
  const x = numbers(tf.mul(sample(site, 3), 3));
  const y = numbers(quantizer.fakeQuantize(tf.tensor(x, [...SHAPE]), toTensors(values), site));
  const reach = Math.max(...levels.map(Math.abs));
  const wrong = x.findIndex((value, i) => {
    const onBorder = thresholds.some((t) => Math.abs(t - value) < 1e-5 * Math.max(1, Math.abs(t)));
    const place = thresholds.filter((t) => value >= t).length;
    return !onBorder && Math.abs((levels[place] ?? NaN) - (y[i] ?? NaN)) > 1e-5 * reach;
  });
  return wrong < 0
    ? undefined
    : `${String(x[wrong])} became ${String(y[wrong])}, which its codebook does not say`;
}

const gradientsReach: Check = {
  name: "gradients are finite and reach the input and everything learned",
  run(subject) {
    const learned = subject.quantizer.learned.filter((name) => name in subject.values);
    const silent = new Set(["x", ...learned]);
    for (let step = 0; step < STEPS; step++) {
      for (const [name, gradient] of valueGradients(subject, step, learned)) {
        const wrong = gradient.find((value) => !Number.isFinite(value));
        if (wrong !== undefined) return `the gradient of ${name} is ${String(wrong)}`;
        if (gradient.some((value) => value !== 0)) silent.delete(name);
      }
    }
    // Rounding is learned apart from the weights, which then stay as they are.
    if ("rounding" in subject.values) silent.delete("x");
    return silent.size === 0
      ? undefined
      : `no gradient reaches ${[...silent].join(", ")} within ${String(STEPS)} batches`;
  },
};

const oneChannel: Check = {
  name: "per channel equals per tensor on a tensor of one channel",
  run({ quantizer, site }) {
    const shape = [...SHAPE.slice(0, 3), 1];
    if (site.role !== "weight") return undefined;
    const outputs = (["perTensor", "perChannel"] as const).map((granularity) => {
      const place = { ...site, shape, scheme: { ...site.scheme, granularity } };
      const x = tf.slice(sample(site, 3), [0, 0, 0, 2], [3, 3, 4, 1]);
      const observed = Object.fromEntries(
        Object.entries(quantizer.observe(x, place)).map(([name, tensor]) => [
          name,
          { shape: tensor.shape, data: numbers(tensor) },
        ]),
      );
      const values = toTensors(quantizer.initialize([observed], place));
      return scaleCount(place) === 1
        ? numbers(quantizer.fakeQuantize(x, values, place))
        : undefined;
    });
    const [a, b] = outputs;
    const wrong = a?.findIndex((value, i) => Math.abs(value - (b?.[i] ?? NaN)) > 1e-5) ?? -1;
    return wrong < 0
      ? undefined
      : `${String(a?.[wrong])} per tensor, ${String(b?.[wrong])} per channel`;
  },
};

const leaksNothing: Check = {
  name: "leaks no tensor",
  run({ quantizer, site, values }) {
    const [x, state] = [sample(site, 3), toTensors(values)];
    const before = tf.memory().numTensors;
    tf.tidy(() => tf.sum(quantizer.fakeQuantize(x, state, site))).dispose();
    const left = tf.memory().numTensors - before;
    return left === 0 ? undefined : `${String(left)} tensors are left behind`;
  },
};

export const checks: readonly Check[] = [
  valuesAreFinite,
  onGrid,
  onGridAfterTraining,
  manyLevels,
  keepsOrder,
  keepsZero,
  changesNothingTwice,
  equalsDeployment,
  gradientsReach,
  staysFinite,
  passesInRange,
  gradientsAreWhole,
  gradientsFollowBatch,
  oneChannel,
  leaksNothing,
];

/** A mask belongs to the weights that it was chosen for; what is tried is what happens to those that stay. */
function withoutMask(subject: Subject): Subject {
  const { mask } = subject.values;
  if (mask === undefined) return subject;
  const whole = { shape: mask.shape, data: new Float32Array(mask.data.length).fill(1) };
  return { ...subject, values: { ...subject.values, mask: whole } };
}

/** What is wrong with a quantizer at one kind of place: check and finding. */
export function problemsOf(
  quantizer: Subject["quantizer"],
  site: QuantizerSite,
): { check: string; problem: string }[] {
  return tf.tidy(() => {
    const found: { check: string; problem: string }[] = [];
    let subject: Subject;
    try {
      subject = withoutMask(calibrated(quantizer, site));
    } catch (error) {
      return [{ check: "can be calibrated", problem: (error as Error).message }];
    }
    for (const { name, run } of checks) {
      let problem: string | undefined;
      try {
        problem = run(subject);
      } catch (error) {
        problem = `throws: ${(error as Error).message}`;
      }
      if (problem !== undefined) found.push({ check: name, problem });
    }
    return found;
  });
}
