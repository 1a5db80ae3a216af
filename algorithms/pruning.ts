import * as tf from "#tf";
import type {
  Phase,
  Quantizer,
  QuantizerSite,
  QuantizerValue,
  QuantizerValues,
  SeenWeights,
} from "./algorithm.js";
import { valueOf } from "./affine.js";
import { straightThrough } from "./gradients.js";

/**
 * A quantizer of weights that first puts those on 0 whose `mask` is 0; the mask has the kernel's shape.
 * Gradients pass as if it were not there, so that a weight can come back while masks still change.
 *
 * @param firstMask of the kernel as calibration sees it; all ones if absent
 */
export function masked(
  quantizer: Quantizer,
  firstMask?: (kernel: QuantizerValue, site: QuantizerSite) => Float32Array,
): Quantizer {
  const { startsFromGrid: _, ...rest } = quantizer;
  return {
    ...rest,
    observe: (w, site) => ({
      ...quantizer.observe(w, site),
      ...(firstMask && { kernel: tf.clone(w) }),
    }),
    initialize(batches, site): QuantizerValues {
      const kernel = batches[0]?.["kernel"];
      const data =
        firstMask === undefined || kernel === undefined
          ? new Float32Array(site.shape.reduce((a, b) => a * b, 1)).fill(1)
          : firstMask(kernel, site);
      return { ...quantizer.initialize(batches, site), mask: { shape: site.shape, data } };
    },
    fakeQuantize(w, values, site) {
      const { mask: _, ...own } = values;
      const kept = straightThrough(w, (x) => tf.mul(x, valueOf(values, "mask")));
      return quantizer.fakeQuantize(kept, own, site);
    },
  };
}

/** The part of the training over which density falls; afterwards masks stay as they are. */
const RAMP = 0.5;

/** The share of weights that stay: 1 - s_f (1 - (1 - t / T)^3), s_f the sparsity at the end T of the ramp. */
export function densityAt(progress: number, final: number): number {
  const left = 1 - Math.min(1, progress / RAMP);
  return 1 - (1 - final) * (1 - left * left * left);
}

/** Masks of the largest magnitudes of all layers together; what is as large as the smallest of them stays too. */
export function largestOfAll(
  weights: ReadonlyMap<QuantizerSite, ArrayLike<number>>,
  density: number,
): Map<QuantizerSite, Float32Array> {
  const count = [...weights.values()].reduce((sum, { length }) => sum + length, 0);
  const magnitudes = new Float32Array(count);
  let place = 0;
  for (const kernel of weights.values()) {
    magnitudes.set(Float32Array.from(kernel, Math.abs), place);
    place += kernel.length;
  }
  magnitudes.sort();
  const threshold = magnitudes[count - keptOf(count, density)] ?? 0;
  return new Map(
    [...weights].map(([site, kernel]) => [
      site,
      Float32Array.from(kernel, (w) => Number(Math.abs(w) >= threshold)),
    ]),
  );
}

/** A training over which the weights with the smallest magnitudes of the whole network go, by Zhu and Gupta's schedule. */
export const gradualPruning = (final: number): readonly Phase[] => [
  {
    name: "prune",
    share: 1,
    trains: ["weights", "quantizers"],
    adapts(progress, seen) {
      if (progress > RAMP && isPrunedTo(final, seen)) return undefined;
      const kernels = new Map([...seen].map(([site, { weights }]) => [site, weights]));
      const masks = largestOfAll(kernels, densityAt(progress, final));
      return new Map(
        [...masks].map(([site, data]) => [site, { mask: { shape: site.shape, data } }]),
      );
    },
  },
];

/** Whether masks keep no more weights than this density allows. */
function isPrunedTo(density: number, seen: SeenWeights): boolean {
  const masks = [...seen.values()].map(({ values }) => values["mask"] ?? new Float32Array(0));
  const count = masks.reduce((sum, { length }) => sum + length, 0);
  const kept = masks.reduce((sum, mask) => sum + mask.reduce((a, b) => a + b, 0), 0);
  return kept <= keptOf(count, density);
}

const keptOf = (count: number, density: number): number =>
  Math.min(count, Math.max(1, Math.round(density * count)));

/** Weights of a group of which as many stay as `KEPT`. */
const GROUP = 4;
const KEPT = 2;

/**
 * The two largest of every four weights along the input channels, which hardware for it multiplies at twice
 * the rate. Layers whose input channels are no multiple of four stay whole, as depthwise ones do.
 */
export function twoOfFour({ data }: QuantizerValue, site: QuantizerSite): Float32Array {
  const mask = new Float32Array(data.length).fill(1);
  const [inputs = 1, outputs = 1] = site.shape.slice(-2);
  const isDepthwise = site.channelAxis !== site.shape.length - 1;
  if (isDepthwise || inputs % GROUP !== 0) return mask;
  for (let start = 0; start < data.length; start += GROUP * outputs) {
    for (let output = 0; output < outputs; output++) {
      const places = Array.from({ length: GROUP }, (_, i) => start + i * outputs + output);
      const smallest = places
        .toSorted((a, b) => Math.abs(data[b] ?? 0) - Math.abs(data[a] ?? 0))
        .slice(KEPT);
      for (const place of smallest) mask[place] = 0;
    }
  }
  return mask;
}
