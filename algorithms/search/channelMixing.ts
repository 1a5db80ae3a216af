import * as tf from "#tf";
import ln from "@stdlib/math-base-special-ln";
import type { RandomNumbers } from "../laboratory.js";
import type { QuantizerTensors, QuantizerValue, QuantizerValues } from "../quantizer.js";
import { softmax, type Choices } from "./widthChoices.js";

/**
 * Channel-wise interpolation as a matrix: [size, size], whose first `from` rows and `to` columns average
 * adjacent channels, out[t] = mean of in[floor(t from / to) ... ceil((t + 1) from / to) - 1] (TAS, section
 * 3.1); all else is 0.
 */
export function interpolation(from: number, to: number, size: number): QuantizerValue {
  const data = new Float32Array(size * size);
  for (let t = 0; t < to; t++) {
    const first = Math.floor((t * from) / to);
    const end = Math.ceil(((t + 1) * from) / to);
    for (let channel = first; channel < end; channel++)
      data[channel * size + t] = 1 / (end - first);
  }
  return { shape: [size, size], data };
}

/** Two of a group's choices, and what takes part with how much of each. */
export interface Sample {
  readonly picked: readonly [number, number];
  readonly parts: readonly [number, number];
}

/**
 * Draws two choices without replacement, with the probabilities of Gumbel softmax, and renormalizes the two.
 *
 * @param temperature of the softmax
 */
export function sampleTwo({ logits }: Choices, temperature: number, random: RandomNumbers): Sample {
  const chances = softmax(logits);
  const noisy = chances.map((chance) => {
    const gumbel = -ln(-ln(Math.max(random.uniform(), 1e-12)));
    return (ln(chance) + gumbel) / temperature;
  });
  const draw = (taken?: number): number => {
    const left = softmax(noisy.map((u, index) => (index === taken ? -Infinity : u)));
    let rest = random.uniform();
    const found = left.findIndex((chance) => (rest -= chance) < 0);
    return found >= 0 ? found : left.findLastIndex((_, index) => index !== taken);
  };
  const first = draw();
  const second = draw(first);
  const [a = NaN, b = NaN] = softmax([noisy[first] ?? NaN, noisy[second] ?? NaN]);
  return { picked: [first, second], parts: [a, b] };
}

/** The gradient by a group's logits, from that by the parts of the two sampled choices. */
export function logitGradient(
  { logits }: Choices,
  { picked, parts }: Sample,
  { byParts, temperature }: { readonly byParts: ArrayLike<number>; readonly temperature: number },
): readonly number[] {
  const mean = parts.reduce((sum, part, i) => sum + part * (byParts[i] ?? NaN), 0);
  const byLog = logits.map(() => 0);
  picked.forEach((choice, i) => {
    byLog[choice] = ((parts[i] ?? NaN) * ((byParts[i] ?? NaN) - mean)) / temperature;
  });
  const total = byLog.reduce((a, b) => a + b, 0);
  const chances = softmax(logits);
  return byLog.map((gradient, index) => gradient - (chances[index] ?? NaN) * total);
}

const SLOTS = ["a", "b"] as const;
/** How steps name what a group mixes: the parts of its two choices, and each one's interpolation. */
export const partsOf = (group: string): string => `parts of ${group}`;
const interpolationOf = (group: string, slot: string): string =>
  `interpolation ${slot} of ${group}`;
const affineOf = (batchNorm: string, part: "gamma" | "beta", slot: string): string =>
  `${batchNorm}/${part} ${slot}`;
/** How a search names the scale or shift of a batch norm at one of its widths. */
export const atChoice = (batchNorm: string, part: "gamma" | "beta", width: number): string =>
  `${batchNorm}/${part} at ${String(width)}`;

export interface MixedGroup {
  readonly name: string;
  /** Of its convolutions. */
  readonly batchNorms: readonly string[];
  readonly choices: Choices;
}

/** What a step reads for a group whose two choices were sampled. */
export function mixingInputs(
  { name, batchNorms, choices: { widths } }: MixedGroup,
  { picked, parts }: Sample,
  tensors: QuantizerValues,
): QuantizerValues {
  const size = widths.at(-1) ?? 1;
  const own = picked.map((choice) => widths[choice] ?? 1);
  const widest = Math.max(...own);
  const inputs: Record<string, QuantizerValue> = {
    [partsOf(name)]: { shape: [2], data: Float32Array.from(parts) },
  };
  SLOTS.forEach((slot, index) => {
    const width = own[index] ?? 1;
    inputs[interpolationOf(name, slot)] = interpolation(width, widest, size);
    for (const batchNorm of batchNorms)
      for (const part of ["gamma", "beta"] as const) {
        const value = tensors[atChoice(batchNorm, part, width)];
        if (value === undefined)
          throw new TypeError(`${batchNorm} has no ${part} at ${String(width)}`);
        inputs[affineOf(batchNorm, part, slot)] = value;
      }
  });
  return inputs;
}

/** The inputs of `mixingInputs` by which a step is differentiated. */
export const mixedNames = ({
  name,
  batchNorms,
}: Pick<MixedGroup, "name" | "batchNorms">): string[] => [
  partsOf(name),
  ...batchNorms.flatMap((batchNorm) =>
    SLOTS.flatMap((slot) =>
      (["gamma", "beta"] as const).map((part) => affineOf(batchNorm, part, slot)),
    ),
  ),
];

/** Gradients of scales and shifts by the names that the search has for them. */
export function affineGradients(
  { batchNorms, choices: { widths } }: MixedGroup,
  { picked }: Sample,
  gradients: QuantizerValues,
): QuantizerValues {
  return Object.fromEntries(
    batchNorms.flatMap((batchNorm) =>
      SLOTS.flatMap((slot, index) =>
        (["gamma", "beta"] as const).flatMap((part): (readonly [string, QuantizerValue])[] => {
          const gradient = gradients[affineOf(batchNorm, part, slot)];
          const width = widths[picked[index] ?? 0] ?? 1;
          return gradient === undefined ? [] : [[atChoice(batchNorm, part, width), gradient]];
        }),
      ),
    ),
  );
}

/**
 * What takes the place of a normalized tensor: the sum over both choices of their part times the interpolation
 * of their own scale and shift. One matrix for all channels, since each of these is linear.
 *
 * @param x [batch, height, width, channels], normalized, without scale and shift
 */
export function mixed(
  x: tf.Tensor,
  { batchNorm, group }: { readonly batchNorm: string; readonly group: string },
  inputs: QuantizerTensors,
): tf.Tensor {
  const input = (name: string): tf.Tensor => {
    const found = inputs[name];
    if (found === undefined) throw new TypeError(`the step lacks "${name}"`);
    return found;
  };
  const channels = x.shape.at(-1) ?? 1;
  const both = SLOTS.map((slot, index) => {
    const part = tf.slice(input(partsOf(group)), [index], [1]);
    const matrix = input(interpolationOf(group, slot)) as tf.Tensor2D;
    const gamma = tf.reshape(input(affineOf(batchNorm, "gamma", slot)), [channels, 1]);
    const beta: tf.Tensor2D = tf.reshape(input(affineOf(batchNorm, "beta", slot)), [1, channels]);
    return {
      scale: tf.mul(tf.mul(matrix, gamma), part),
      shift: tf.mul(tf.reshape(tf.matMul(beta, matrix), [channels]), part),
    };
  });
  const [a, b] = both;
  if (a === undefined || b === undefined) throw new TypeError("two choices are mixed");
  const kernel = tf.reshape(tf.add(a.scale, b.scale), [1, 1, channels, channels]);
  const y = tf.conv2d(x as tf.Tensor4D, kernel as tf.Tensor4D, 1, "valid");
  return tf.add(y, tf.add(a.shift, b.shift));
}
