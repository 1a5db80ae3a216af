import * as tf from "#tf";
import { quantRange } from "../../backends/scheme.js";
import { FLOAT_BITS } from "../../backends/hardware/hardware.js";
import { roundAs, usableScale, valueOf } from "../affine.js";
import type { QuantizerSite, QuantizerTensors, QuantizerValues } from "../algorithm.js";
import { straightThrough } from "../gradients.js";

const number = (value: number) => ({ shape: [], data: Float32Array.of(value) });

/** The site at another bit width. */
export const atWidth = (site: QuantizerSite, bitWidth: number): QuantizerSite => ({
  ...site,
  scheme: { ...site.scheme, bitWidth },
});

/**
 * Values that say which integers a site has, so that its bit width is an input of a step: the lowest and
 * the highest, and whether the tensor is quantized at all (not at 32 bits).
 */
export function codesAt(site: QuantizerSite, bits: number): QuantizerValues {
  const isFloat = bits === FLOAT_BITS;
  const { quantMin, quantMax } = quantRange(
    isFloat ? site.scheme : { ...site.scheme, bitWidth: bits },
  );
  return {
    lowest: number(quantMin),
    highest: number(quantMax),
    quantized: number(isFloat ? 0 : 1),
  };
}

/**
 * Fake quantization on the grid of `scale` and `zeroPoint` with the integers of `codesAt`; what lies
 * between the outermost ones has the gradient of the identity, all else none.
 */
export function quantizeAtRuntime(
  x: tf.Tensor,
  values: QuantizerTensors,
  { scheme, role }: QuantizerSite,
): tf.Tensor {
  const scale = usableScale(valueOf(values, "scale"), scheme);
  const zeroPoint = values["zeroPoint"] ?? tf.fill([], 0);
  // A grid that follows its weights bounds each of them: tf.minimum and tf.maximum give what is repeated no gradient.
  const followsWeights = role === "weight" && "zeroPoint" in values;
  const bound = (name: string) => {
    const code = valueOf(values, name);
    return tf.sub(followsWeights ? tf.add(tf.zerosLike(x), code) : code, zeroPoint);
  };
  const [low, high] = [bound("lowest"), bound("highest")];
  const clipped = tf.minimum(tf.maximum(tf.div(x, scale), low), high);
  const rounded = straightThrough(clipped, (steps) => roundAs(scheme.rounding, steps));
  const quantized = valueOf(values, "quantized");
  // Both are computed; a choice between them would record the same.
  return tf.add(tf.mul(tf.mul(rounded, scale), quantized), tf.mul(x, tf.sub(1, quantized)));
}
