import { roundHalfToEven } from "../../algorithms/observers/index.js";
import { isCodebook, type FrozenNetwork, type FrozenWeight } from "./freeze.js";

/** Only weights of so many bits are large enough for two products with bytes to leave 16 bits. */
const REDUCED_BITS = 8;

/**
 * The network with its 8-bit weights on every second step of their grid, as onnxruntime's
 * `reduce_range` has them: integers from -64 to 64, of which two products with 255 make at most
 * 32,640, so that 16 bits hold their sum. Weights of fewer bits stay.
 *
 * @see https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
 */
export function reducedRange(frozen: FrozenNetwork): FrozenNetwork {
  const weights = new Map(frozen.weights);
  for (const { id, scheme } of frozen.sites) {
    const weight = weights.get(id);
    if (weight !== undefined && scheme.bitWidth === REDUCED_BITS) weights.set(id, halved(weight));
  }
  return { ...frozen, weights };
}

/** Steps twice as large; 0 stays where it is. */
function halved({ on, codes }: FrozenWeight): FrozenWeight {
  if (isCodebook(on) || on.zeroPoint.some((zero) => zero !== 0)) return { on, codes };
  return {
    on: { scale: on.scale.map((scale) => 2 * scale), zeroPoint: on.zeroPoint },
    codes: codes.map((code) => roundHalfToEven(code / 2)),
  };
}
