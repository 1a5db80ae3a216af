import * as tf from "#tf";
import type {
  Quantizer,
  QuantizerSite,
  QuantizerTensors,
  QuantizerValues,
} from "../../algorithms/algorithm.js";
import { scaleShape } from "../../algorithms/affine.js";
import { randomStream } from "../engine/index.js";

/** Shape of the tensors that quantizers are tried on; as a kernel [3, 3, 4, 6]. */
export const SHAPE: readonly [number, number, number, number] = [3, 3, 4, 6];

/** A quantizer at one kind of place, calibrated. */
export interface Subject {
  readonly quantizer: Quantizer;
  readonly site: QuantizerSite;
  readonly values: QuantizerValues;
}

/** Roughly normal values, the channels of different size as in networks; the same every time. */
export function sample(
  { nonNegative }: Pick<QuantizerSite, "nonNegative">,
  seed: number,
): tf.Tensor {
  const values = drawn.get(seed) ?? draw(seed);
  drawn.set(seed, values);
  return tf.tensor(nonNegative ? values.map((v) => Math.max(v, 0)) : values.slice(), [...SHAPE]);
}
const drawn = new Map<number, Float32Array>();

function draw(seed: number): Float32Array {
  const random = randomStream(seed, "conformance");
  const normal = () =>
    Array.from({ length: 12 }, () => random.uniform()).reduce((a, b) => a + b) - 6;
  const size = SHAPE.reduce((a, b) => a * b);
  return Float32Array.from({ length: size }, (_, i) => normal() * (0.3 + (i % 6) * 0.4));
}

/** A quantizer with the values that two calibration batches give it, finished as for deployment. */
export function calibrated(quantizer: Quantizer, site: QuantizerSite): Subject {
  const batches = [1, 2].map((seed) => toValues(quantizer.observe(sample(site, seed), site)));
  return { quantizer, site, values: quantizer.initialize(batches, site) };
}

export const finishedValues = ({ quantizer, values, site }: Subject): QuantizerTensors =>
  toTensors(quantizer.finish?.(values, site) ?? values);

export function toTensors(values: QuantizerValues): QuantizerTensors {
  return Object.fromEntries(
    Object.entries(values).map(([name, { shape, data }]) => [name, tf.tensor(data, [...shape])]),
  );
}

export function toValues(tensors: QuantizerTensors): QuantizerValues {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [
      name,
      { shape: tensor.shape, data: Float32Array.from(tensor.dataSync()) },
    ]),
  );
}

export const numbers = (tensor: tf.Tensor): Float32Array => Float32Array.from(tensor.dataSync());

/** Values after some steps of gradient descent on a random linear function of the output. */
export function trainedFor(subject: Subject, steps: number, rate: number): Subject {
  const { quantizer, site } = subject;
  const learned = learnedIn(subject);
  let { values } = subject;
  for (let step = 0; step < steps; step++) {
    const gradients = valueGradients({ ...subject, values }, step, learned);
    values = Object.fromEntries(
      Object.entries(values).map(([name, { shape, data }]) => {
        const gradient = gradients.get(name);
        return [name, { shape, data: data.map((v, i) => v - rate * (gradient?.[i] ?? 0)) }];
      }),
    );
  }
  return { quantizer, site, values };
}

/** Gradients of a random linear function of the output to the input ("x") and to learned values. */
export function valueGradients(
  { quantizer, site, values }: Subject,
  seed: number,
  learned: readonly string[],
): Map<string, Float32Array> {
  // Some values far outside, so that bounds and zero points are felt.
  const x = tf.mul(sample(site, 10 + seed), [1, 20, 1000][seed % 3] ?? 1);
  const dy = sample({ nonNegative: false }, 20 + seed);
  const gradients = gradientsAt({ quantizer, site, state: toTensors(values) }, { x, dy, learned });
  return new Map(Object.entries(gradients).map(([name, tensor]) => [name, numbers(tensor)]));
}

/** Gradients to x and to what is learned, by name, where `dy` is the gradient of the output. */
export function gradientsAt(
  { quantizer, site, state }: Omit<Subject, "values"> & { readonly state: QuantizerTensors },
  { x, dy, learned }: { x: tf.Tensor; dy: tf.Tensor; learned: readonly string[] },
): Readonly<Record<string, tf.Tensor>> {
  const gradients = tf.grads((input: tf.Tensor, ...trained: tf.Tensor[]) => {
    const current = {
      ...state,
      ...Object.fromEntries(learned.map((name, i) => [name, trained[i] as tf.Tensor])),
    };
    return tf.sum(tf.mul(quantizer.fakeQuantize(input, current, site), dy));
  })([x, ...learned.map((name) => state[name] as tf.Tensor)]);
  return Object.fromEntries(["x", ...learned].map((name, i) => [name, gradients[i] as tf.Tensor]));
}

/** What of a quantizer's values training changes. */
export const learnedIn = ({ quantizer, values }: Subject): string[] =>
  quantizer.learned.filter((name) => name in values);

/** Number of scales of a site. */
export const scaleCount = (site: QuantizerSite): number =>
  scaleShape(site).reduce((a, b) => a * b, 1);
