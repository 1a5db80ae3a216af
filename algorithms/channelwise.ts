import pow from "@stdlib/math-base-special-pow";
import * as tf from "#tf";
import { MPIC_MACS_PER_CYCLE, MPIC_SOURCE } from "../backends/hardware/mpic.js";
import type {
  Algorithm,
  LossTerms,
  Phase,
  Quantizer,
  QuantizerSite,
  QuantizerTensors,
} from "./algorithm.js";
import { pact } from "./pact.js";
import { MIN_SCALE, scaleShape, sharedAxes, valueOf } from "./affine.js";
import { scaleGradient, stopGradient, straightThrough } from "./gradients.js";

/** Widths that a channel may get, as far as the site's bit width goes. */
const WIDTHS = [2, 4, 8] as const;
type Width = (typeof WIDTHS)[number];
const widthsOf = ({ scheme }: QuantizerSite): readonly Width[] =>
  WIDTHS.filter((width) => width <= scheme.bitWidth);

const INITIAL_LOGIT = 0.01;
/** A logit that decides: the softmax of the others is exactly 0. */
const DECIDED = 200;
/** Logits learn faster than weights: 0.1 where those have 0.01. */
const LOGIT_GRADIENT = 10;

/** [widths, channels]: how much of each width a channel has; each column adds up to 1. */
export function widthShares(values: QuantizerTensors): tf.Tensor2D {
  const logits = scaleGradient(valueOf(values, "logits"), LOGIT_GRADIENT);
  const scaled = tf.div(logits, valueOf(values, "temperature"));
  return tf.transpose(tf.softmax(tf.transpose(scaled))) as tf.Tensor2D;
}

/** The scale of each channel at one width: twice the largest magnitude over all its steps. */
function scaleAt(w: tf.Tensor, width: Width, site: QuantizerSite): tf.Tensor {
  const largest = tf.reshape(tf.max(tf.abs(w), sharedAxes(w, site)), scaleShape(site));
  return tf.maximum(tf.div(tf.mul(largest, 2), 2 ** width - 1), tf.fill([], MIN_SCALE));
}

/** One row of the shares, in a shape that broadcasts over the kernel. */
const shareOf = (shares: tf.Tensor2D, index: number, site: QuantizerSite): tf.Tensor =>
  tf.reshape(tf.slice(shares, [index, 0], [1, -1]), scaleShape(site));

/**
 * Weights whose bits are searched for each output channel (Risso et al., 2022): while training,
 * every channel is a mixture of itself at each width, with shares that gradient descent moves;
 * in the end the width with the largest share stays.
 */
export const mixedWidths: Quantizer = {
  learned: ["logits"],
  passes: "all",
  observe: () => ({}),
  initialize(_, site) {
    const channels = site.shape[site.channelAxis] ?? 1;
    const size = widthsOf(site).length * channels;
    return {
      logits: {
        shape: [widthsOf(site).length, channels],
        data: new Float32Array(size).fill(INITIAL_LOGIT),
      },
      temperature: { shape: [], data: Float32Array.of(1) },
    };
  },
  fakeQuantize(w, values, site) {
    const shares = widthShares(values);
    const parts = widthsOf(site).map((width, i) => {
      const scale = scaleAt(stopGradient(w), width, site);
      const half = 2 ** (width - 1);
      const steps = tf.div(w, scale);
      // Gradients pass as they are (the identity), also where the largest code is clipped.
      const lowest = site.scheme.narrowRange ? 1 - half : -half;
      const code = straightThrough(steps, (s) => tf.clipByValue(tf.round(s), lowest, half - 1));
      return tf.mul(tf.mul(code, scale), shareOf(shares, i, site));
    });
    return parts.reduce((sum, part) => tf.add(sum, part));
  },
  quantParams(values, site, w) {
    if (w === undefined) throw new TypeError("the grid of mixed widths depends on the weights");
    const shares = widthShares(values);
    const scales = widthsOf(site).map((width, i) =>
      tf.mul(scaleAt(w, width, site), shareOf(shares, i, site)),
    );
    const scale = scales.reduce((sum, part) => tf.add(sum, part));
    const { symmetric, signed, bitWidth } = site.scheme;
    return {
      scale,
      zeroPoint: tf.fill(scale.shape, symmetric || signed ? 0 : 2 ** (bitWidth - 1)),
    };
  },
  finish({ logits, ...values }, site) {
    if (logits === undefined) return values;
    const [widths = 1, channels = 1] = logits.shape;
    const data = new Float32Array(logits.data.length);
    bestWidths(logits.data, widths, channels).forEach((best, channel) => {
      for (let i = 0; i < widths; i++) data[i * channels + channel] = i === best ? DECIDED : 0;
    });
    return {
      ...values,
      logits: { shape: [widthsOf(site).length, channels], data },
      temperature: { shape: [], data: Float32Array.of(1) },
    };
  },
  bitWidths({ logits }, site) {
    if (logits === undefined) throw new TypeError("mixed widths without logits");
    const [widths = 1, channels = 1] = logits.shape;
    return bestWidths(logits.data, widths, channels).map((best) => widthsOf(site)[best] ?? 8);
  },
};

/** The row with the largest logit of each column; the widest of equals. */
function bestWidths(logits: Float32Array, widths: number, channels: number): number[] {
  return Array.from({ length: channels }, (_, channel) => {
    let best = 0;
    for (let i = 1; i < widths; i++) {
      if ((logits[i * channels + channel] ?? 0) >= (logits[best * channels + channel] ?? 0))
        best = i;
    }
    return best;
  });
}

export type Cost = "size" | "energy";

/** What one weight bit width costs, per weight (size) or per multiplication (energy). */
function unitCost(cost: Cost, width: Width): number {
  // Activations have 8 bits; energy is proportional to cycles.
  return cost === "size" ? width : 1 / MPIC_MACS_PER_CYCLE[8][width];
}

/** The expected cost of the whole network as a part of what it would be at the widest widths. */
export function relativeCost(quantizers: LossTerms["quantizers"], cost: Cost): tf.Scalar {
  let widest = 0;
  let sum: tf.Tensor = tf.scalar(0);
  for (const [site, values] of quantizers) {
    if (!("logits" in values)) continue;
    const widths = widthsOf(site);
    const weight = cost === "size" ? site.shape.reduce((a, b) => a * b, 1) : site.multiplications;
    const costs = tf.tensor2d(widths.map((width) => [unitCost(cost, width)]));
    const perChannel = tf.sum(tf.mul(widthShares(values), costs), 0);
    sum = tf.add(sum, tf.mul(tf.mean(perChannel), weight));
    widest += weight * unitCost(cost, widths.at(-1) ?? 8);
  }
  return tf.div(sum, Math.max(widest, 1));
}

/** Part of the training that searches, in rounds of logits (a fifth) and weights. */
const SEARCH_SHARE = 0.6;
const ROUNDS = 4;
const LOGIT_SHARE = 0.2;
const FIRST_TEMPERATURE = 5;
const LAST_TEMPERATURE = 0.5;
/** So cold that only the largest logit counts. */
const FROZEN_TEMPERATURE = 1e-4;

/** How much the relative cost weighs beside the cross entropy. */
const STRENGTH = 1;

const isLogit = (name: string): boolean => name.endsWith(":logits");

/** Alternates between logits and weights while the temperature falls, then trains what was found. */
function searchPhases(cost: Cost): readonly Phase[] {
  const anneals = (progress: number) => ({
    temperature:
      FIRST_TEMPERATURE *
      pow(LAST_TEMPERATURE / FIRST_TEMPERATURE, Math.min(1, progress / SEARCH_SHARE)),
  });
  const round = SEARCH_SHARE / ROUNDS;
  const logits: Phase = {
    name: "search widths",
    share: round * LOGIT_SHARE,
    trains: ["quantizers"],
    only: isLogit,
    anneals,
    loss: ({ crossEntropy, quantizers }) =>
      tf.add(crossEntropy, tf.mul(relativeCost(quantizers, cost), STRENGTH)),
  };
  const weights: Phase = {
    name: "train weights",
    share: round * (1 - LOGIT_SHARE),
    trains: ["weights", "quantizers"],
    only: (name) => !isLogit(name),
    anneals,
  };
  const tune: Phase = {
    ...weights,
    name: "fine-tune",
    share: 1 - SEARCH_SHARE,
    anneals: () => ({ temperature: FROZEN_TEMPERATURE }),
  };
  return [...Array.from({ length: ROUNDS }, () => [logits, weights]).flat(), tune];
}

/** Why a site cannot hold channels of different widths. */
function needsChoice(site: QuantizerSite): string | undefined {
  const { granularity, scaleForm } = site.scheme;
  if (site.role !== "weight") return undefined;
  if (granularity === "perTensor" || scaleForm !== "fp32")
    return "channels of different widths need a float scale each";
  return widthsOf(site).length < 2 ? "below 4 bits there is only one width to choose" : undefined;
}

/** All of a channel-wise search but its name: what it costs decides where bits go. */
export const channelwise = (cost: Cost) =>
  ({
    version: 1,
    source: MPIC_SOURCE,
    family: "mixed precision",
    deviations: [
      "Widths 2, 4 and 8 as far as the matrix's bit width goes; activations keep the matrix's, with PACT's learned bound. Widths of activations are not searched.",
      "The cost is a part of that of the widest widths, weighed by 1; the paper sweeps its weight.",
      "Starts from the float checkpoint, not from one trained at 8 bits; logits and weights alternate in 4 rounds over 60 % of the training, the rest fine-tunes the widths that were found.",
      "Logits learn by the common optimizer at ten times its rate; the paper has rates of their own.",
      "A code is clipped to what its bits hold (as in the authors' later library).",
    ],
    weight: mixedWidths,
    activation: pact.activation,
    phases: searchPhases(cost),
    unsupported: needsChoice,
  }) as const satisfies Omit<Algorithm, "name" | "title">;
