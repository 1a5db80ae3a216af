import * as tf from "#tf";
import { valueOf } from "../affine.js";
import type {
  Phase,
  Quantizer,
  QuantizerSite,
  QuantizerTensors,
  QuantizerValues,
} from "../algorithm.js";
import { straightThrough } from "../gradients.js";
import type { Clusters } from "../laboratory.js";
import { averaged, lloyd, quantileCentroids } from "./clusters.js";

/** Lloyd's iterations where weights are clustered to stay so. */
export const FINAL_ITERATIONS = 50;
/** Weights of more bits leave their clusters while they train, and are clustered again at the end. */
const MOST_SHARED_BITS = 6;

/** Whether weights of so many bits train alone. */
export const trainsAlone = (bits: number): boolean => bits > MOST_SHARED_BITS;

/** What the quantizer keeps of clusters; `free` is 1 while weights train alone. */
export function clusterValues(
  { levels, labels }: Clusters,
  { scheme }: QuantizerSite,
  options: { readonly shape: readonly number[]; readonly free?: boolean },
): QuantizerValues {
  const { shape, free = trainsAlone(scheme.bitWidth) } = options;
  return {
    levels: { shape: [levels.length], data: levels },
    labels: { shape, data: Float32Array.from(labels) },
    ...(trainsAlone(scheme.bitWidth) && {
      free: { shape: [], data: Float32Array.of(Number(free)) },
    }),
  };
}

const used = (values: QuantizerTensors): tf.Tensor =>
  tf.gather(valueOf(values, "levels"), tf.cast(valueOf(values, "labels"), "int32"));

/** Weights in clusters, each with a level of its own; gradients of a cluster add up in its mean. */
export const clusteredWeight: Quantizer = {
  learned: [],
  levels: "codebook",
  fewestBits: 1,
  observe: (w) => ({ kernel: tf.clone(w) }),
  initialize(batches, site) {
    const kernel = batches[0]?.["kernel"];
    if (kernel === undefined) throw new TypeError("no weights observed");
    const start = quantileCentroids(kernel.data, 2 ** site.scheme.bitWidth);
    return clusterValues(lloyd(kernel.data, start, FINAL_ITERATIONS), site, kernel);
  },
  fakeQuantize: (w, values) =>
    straightThrough(w, (x) => {
      const { free } = values;
      if (free === undefined) return used(values);
      return tf.add(tf.mul(free, x), tf.mul(tf.sub(1, free), used(values)));
    }),
  finish: ({ free, ...values }) =>
    free === undefined ? values : { ...values, free: { ...free, data: Float32Array.of(0) } },
  quantParams(_, site) {
    throw new TypeError(`"${site.id}" has no uniform grid; its levels are in its codebook`);
  },
  codebook(values) {
    const levels = valueOf(values, "levels") as tf.Tensor1D;
    const count = levels.shape[0];
    const [lower, upper] = [tf.slice(levels, [0], [count - 1]), tf.slice(levels, [1], [count - 1])];
    return { levels, thresholds: tf.div(tf.add(lower, upper), 2) };
  },
};

/**
 * Before each step clusters become the means of their weights, which is as if the gradients of a cluster were
 * averaged. Those that trained alone are clustered before the last step, from where their levels were.
 */
export const followWeights: NonNullable<Phase["adapts"]> = (progress, seen) => {
  const changed = new Map<QuantizerSite, QuantizerValues>();
  for (const [site, { weights, values }] of seen) {
    const { levels, labels } = values;
    if (levels === undefined || labels === undefined) continue;
    const isAlone = trainsAlone(site.scheme.bitWidth);
    if (isAlone && progress < 1) continue;
    const clusters = isAlone
      ? lloyd(weights, levels, FINAL_ITERATIONS)
      : averaged(weights, { levels, labels: Int32Array.from(labels) });
    changed.set(site, clusterValues(clusters, site, { shape: site.shape, free: false }));
  }
  return changed;
};
