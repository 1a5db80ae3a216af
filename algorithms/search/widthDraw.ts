import ln from "@stdlib/math-base-special-ln";
import * as tf from "#tf";
import { scaleShape, sharedAxes, usableScale, valueOf } from "../affine.js";
import type {
  QuantizerSite,
  QuantizerTensors,
  QuantizerValue,
  QuantizerValues,
} from "../algorithm.js";
import { squashed } from "../dorefa.js";
import { stopGradient, straightThrough } from "../gradients.js";
import type { RandomNumbers } from "../laboratory.js";
import { codesAt, quantizeAtRuntime } from "./runtimeGrid.js";
import { nameAt } from "./siteValues.js";

/** Which of two neighbouring widths a layer's weights have, by chance: plain data, so that it can be kept. */
export interface WidthDraw {
  /** The wider one's place among the candidates; at 0 the narrowest is all that is left. */
  readonly place: number;
  /** Of the wider one's probability, the bit width parameter beta. */
  readonly logit: number;
  /** Running mean of its gradient. */
  readonly momentum: number;
}

/** ln(beta / (1 - beta)) */
const logitOf = (beta: number): number => ln(beta / (1 - beta));
const FRESH = logitOf(0.9);
/** Below it a layer loses its wider width. */
const DROPPED = logitOf(0.1);
/** beta stays within 0.001 and 0.999. */
const LARGEST = logitOf(0.999);
/**
 * What a logit takes from fresh to dropped, in steps times rate, under a gradient of 1 by beta: the integral of
 * 1 / (beta (1 - beta)), which is 2 x + e^x - e^-x, between them.
 */
export const WAY_DOWN = 2 * (FRESH - DROPPED) + 2 * (9 - 1 / 9);

export const freshDraw = (place: number): WidthDraw => ({
  ...{ place, logit: FRESH, momentum: 0 },
});

export const moreProbable = ({ place, logit }: WidthDraw): number =>
  logit >= 0 ? place : Math.max(0, place - 1);

const MOMENTUM = 0.9;

/** A step along the gradient of the logit, then the decay rule: bits only go down. */
export function movedDraw(draw: WidthDraw, gradient: number, rate: number): WidthDraw {
  const momentum = MOMENTUM * draw.momentum + (1 - MOMENTUM) * gradient;
  const logit = Math.min(LARGEST, Math.max(-LARGEST, draw.logit - rate * momentum));
  if (draw.place > 0 && logit < DROPPED) return freshDraw(draw.place - 1);
  return { place: draw.place, logit, momentum };
}

/** A number of the standard Gumbel distribution. */
export const gumbel = (random: RandomNumbers): number =>
  -ln(-ln(Math.max(random.uniform(), 2 ** -53)));

const OPTIONS = ["wide", "narrow"] as const;

/** What a step needs to draw: both widths, the logit, and the difference of two Gumbel numbers. */
export function drawInputs(
  site: QuantizerSite,
  { place, logit }: WidthDraw,
  { widths, noise }: { readonly widths: readonly number[]; readonly noise: number },
): QuantizerValues {
  const bits = [widths[place], widths[Math.max(0, place - 1)]];
  const values = OPTIONS.flatMap((option, i) => {
    const width = bits[i] ?? site.scheme.bitWidth;
    const { lowest, highest } = codesAt(site, width);
    return [
      [`${option} lowest`, lowest],
      [`${option} highest`, highest],
      [`${option} bits`, scalar(width)],
    ] as const;
  });
  const all = [...values, ["logit", scalar(logit)] as const, ["noise", scalar(noise)] as const];
  return Object.fromEntries(
    all.flatMap(([name, value]) => (value === undefined ? [] : [[nameAt(site, name), value]])),
  );
}

const scalar = (value: number): QuantizerValue => ({ shape: [], data: Float32Array.of(value) });

/** beta. */
export const probability = (values: QuantizerTensors): tf.Tensor =>
  tf.sigmoid(valueOf(values, "logit"));

/** How much the wider width counts: softmax of both log probabilities with Gumbel noise. */
export const softChoice = (values: QuantizerTensors, temperature = 1): tf.Tensor =>
  tf.sigmoid(tf.div(tf.add(valueOf(values, "logit"), valueOf(values, "noise")), temperature));

/** DoReFa's weights at one of two widths, drawn; gradients are those of the soft choice. */
export function drawnWeight(
  w: tf.Tensor,
  values: QuantizerTensors,
  site: QuantizerSite,
): tf.Tensor {
  const x = squashed(w);
  const [wide, narrow] = OPTIONS.map((option) => atOption(x, option, { values, site }));
  const choice = straightThrough(softChoice(values), (soft) =>
    tf.cast(tf.greaterEqual(soft, 0.5), "float32"),
  );
  return tf.add(tf.mul(wide as tf.Tensor, choice), tf.mul(narrow as tf.Tensor, tf.sub(1, choice)));
}

/**
 * The squared error that both widths make, as the draw has them on average: of weights as DoReFa has them
 * before they are rounded, where the largest is 1. The weights are constants.
 */
export function expectedError(
  w: tf.Tensor,
  values: QuantizerTensors,
  site: QuantizerSite,
): tf.Tensor {
  const x = squashed(stopGradient(w));
  const largest = tf.add(tf.max(tf.abs(x)), 1e-12);
  const [wide, narrow] = OPTIONS.map((option) => {
    const error = tf.div(tf.sub(atOption(x, option, { values, site }), x), largest);
    return stopGradient(tf.mean(tf.square(error)));
  });
  return tf.add(
    tf.mul(wide as tf.Tensor, probability(values)),
    tf.mul(narrow as tf.Tensor, tf.sub(1, probability(values))),
  );
}

/** Bits of a weight, as the draw has them on average. */
export function expectedBits(values: QuantizerTensors): tf.Tensor {
  const [wide, narrow] = [valueOf(values, "wide bits"), valueOf(values, "narrow bits")];
  const beta = probability(values);
  return tf.add(tf.mul(wide, beta), tf.mul(narrow, tf.sub(1, beta)));
}

function atOption(
  x: tf.Tensor,
  option: (typeof OPTIONS)[number],
  { values, site }: { readonly values: QuantizerTensors; readonly site: QuantizerSite },
): tf.Tensor {
  const [lowest, highest] = [
    valueOf(values, `${option} lowest`),
    valueOf(values, `${option} highest`),
  ];
  const codes = { lowest, highest, quantized: tf.fill([], 1) };
  return quantizeAtRuntime(x, { ...coveringGrid(x, codes, site), ...codes }, site);
}

/** Scale and zero point over the extremes of x, as constants: those of `coveringGrid` in affine.ts. */
function coveringGrid(
  x: tf.Tensor,
  { lowest, highest }: { readonly lowest: tf.Tensor; readonly highest: tf.Tensor },
  site: QuantizerSite,
): QuantizerTensors {
  const constant = stopGradient(x);
  const [axes, shape] = [sharedAxes(x, site), scaleShape(site)];
  const low = tf.reshape(tf.min(constant, axes), shape);
  const high = tf.reshape(tf.max(constant, axes), shape);
  const steps = tf.sub(highest, lowest);
  const { symmetric, signed } = site.scheme;
  if (symmetric) {
    const reach = tf.maximum(tf.abs(low), tf.abs(high));
    return { scale: usableScale(tf.div(reach, signed ? tf.div(steps, 2) : steps), site.scheme) };
  }
  const [bottom, top] = [tf.minimum(low, 0), tf.maximum(high, 0)];
  const scale = usableScale(tf.div(tf.sub(top, bottom), steps), site.scheme);
  const first = tf.sub(lowest, tf.round(tf.div(bottom, scale)));
  return { scale, zeroPoint: tf.minimum(tf.maximum(first, lowest), highest) };
}
