import * as tf from "#tf";
import { TRAIN_ALL, type Algorithm, type Quantizer, type QuantizerSite } from "./algorithm.js";
import { MIN_SCALE, perScale, roundSte, valueOf } from "./affine.js";
import { codebookQuantizer } from "./codebook.js";
import { scaleGradient, stopGradient, straightThrough } from "./gradients.js";
import { copied, inParallel } from "./parallelNetwork.js";
import { meanStdObserver, observeMinMax, statistic } from "./observers/index.js";

const GROUPS = 2;
const DEVIATIONS = 3;

type Values = Parameters<Quantizer["fakeQuantize"]>[1];

/** A learned value whose gradient, a sum over all of x, is scaled down as LSQ's is. */
function learned(name: string, values: Values, { shape, scheme }: QuantizerSite): tf.Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  return scaleGradient(valueOf(values, name), 1 / Math.sqrt(count * (2 ** scheme.bitWidth - 1)));
}

/** At least MIN_SCALE; straight through, so that bounds that met can part again. */
const usableWidth = (lower: tf.Tensor, upper: tf.Tensor): tf.Tensor =>
  straightThrough(tf.sub(upper, lower), (width) => tf.clipByValue(width, MIN_SCALE, 3.4e38));

/** x between learned bounds, as a whole number of parts of 0 ... 1. */
function inParts(x: tf.Tensor, values: Values, site: QuantizerSite): tf.Tensor {
  const [lower, upper] = [learned("lower", values, site), learned("upper", values, site)];
  const parts = 2 ** site.scheme.bitWidth - 1;
  const width = usableWidth(lower, upper);
  const inside = tf.clipByValue(tf.div(tf.sub(x, lower), width), 0, 1);
  return tf.div(roundSte(tf.mul(inside, parts)), parts);
}

/** Levels for parts 0 ... 1, and the middles between them on the axis of x. */
function levelsOf(values: Values, site: QuantizerSite, levelAt: (part: tf.Tensor) => tf.Tensor) {
  const parts = 2 ** site.scheme.bitWidth - 1;
  const [lower, upper] = [valueOf(values, "lower"), valueOf(values, "upper")];
  const width = usableWidth(lower, upper);
  const steps = Array.from({ length: parts + 1 }, (_, i) => i / parts);
  const middles = Array.from({ length: parts }, (_, i) => (i + 0.5) / parts);
  return {
    levels: tf.reshape<tf.Rank.R1>(levelAt(tf.tensor1d(steps)), [-1]),
    thresholds: tf.reshape<tf.Rank.R1>(tf.add(tf.mul(tf.tensor1d(middles), width), lower), [-1]),
  };
}

const symmetricPart = (part: tf.Tensor): tf.Tensor => tf.mul(tf.sub(part, 0.5), 2);

/** Weights in [-1, 1] without a 0, times the layer's learned output scale. */
const weight = codebookQuantizer({
  learned: ["lower", "upper", "outputScale"],
  observe: (w, site) => ({
    ...meanStdObserver.observe(w, site),
    meanAbs: tf.reshape(tf.mean(tf.abs(w)), []),
  }),
  initialize(batches, site) {
    const reach = DEVIATIONS * Math.max(...statistic(batches, "deviation", 0), MIN_SCALE);
    // A mean magnitude as the weights': levels between -1 and 1 are about a third on average.
    const magnitude = (3 * Math.max(...statistic(batches, "meanAbs", 0))) / reach;
    return {
      lower: perScale(site, () => -reach),
      upper: perScale(site, () => reach),
      outputScale: perScale(site, () => reach * Math.max(magnitude, 0.5)),
    };
  },
  fakeQuantize: (w, values, site) =>
    tf.mul(symmetricPart(inParts(w, values, site)), tf.abs(learned("outputScale", values, site))),
  codebook: (values, site) =>
    levelsOf(values, site, (part) =>
      tf.mul(symmetricPart(part), tf.abs(valueOf(values, "outputScale"))),
    ),
});

/** Activations on levels between learned bounds; a bound learns from what lies inside alone. */
const activation = codebookQuantizer({
  learned: ["lower", "upper"],
  observe: (x, site) => ({ ...observeMinMax(x, site), ...meanStdObserver.observe(x, site) }),
  initialize: (batches, site) => ({
    lower: perScale(site, (i) => Math.min(...statistic(batches, "min", i))),
    upper: perScale(site, (i) => {
      const deviations = statistic(batches, "deviation", i);
      const mean = deviations.reduce((a, b) => a + b, 0) / deviations.length;
      return (DEVIATIONS * mean) / Math.sqrt(1 - 2 / Math.PI);
    }),
  }),
  fakeQuantize: (x, values, site) => spread(inParts(x, values, site), values),
  codebook: (values, site) => levelsOf(values, site, (part) => spread(part, values)),
});

/** Parts 0 ... 1 back between the bounds, which get no gradient from here. */
function spread(part: tf.Tensor, values: Values): tf.Tensor {
  const [lower, upper] = [valueOf(values, "lower"), valueOf(values, "upper")].map(stopGradient) as [
    tf.Tensor,
    tf.Tensor,
  ];
  return tf.add(tf.mul(part, tf.sub(upper, lower)), lower);
}

/** Parallel low-precision groups with cyclic shuffles, instead of one network of more bits. */
export const palquant = {
  name: "palquant",
  title: "PalQuant",
  version: 3,
  source: {
    title:
      "PalQuant: Accelerating High-Precision Networks on Low-Precision Accelerators (Hu et al., ECCV 2022)",
    url: "https://arxiv.org/abs/2208.01944",
  },
  deviations: [
    "2 groups; twice the weights and multiplications of other rows with the same bits.",
    "Starts from copies of the float checkpoint (with 10 % noise, so that groups differ) and trains as long as all algorithms; the paper trains from scratch.",
    "First and last layer have 8 bits instead of float.",
    "Levels of activations lie between their bounds, not in [0, 1]; bounds learn from unclipped values alone, as in the paper.",
    "Bounds and scales share the weights' optimizer, their gradients divided as LSQ divides its scales'; the paper uses Adam at a rate of its own. The scale's first value matches magnitudes of weights, not of outputs.",
    "Runs on the academic setting alone: its weights have no 0, which integer backends need.",
  ],
  knownDefects: ["gradients of learned values add up to the change of the output"],
  weight,
  activation,
  phases: TRAIN_ALL,
  rewrite: (network) => inParallel(network, GROUPS),
  inherit: copied,
} as const satisfies Algorithm;
