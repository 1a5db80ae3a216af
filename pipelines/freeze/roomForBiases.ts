import log2 from "@stdlib/math-base-special-log2";
import { isLayer } from "../network/index.js";
import { accumulatorSteps } from "./encoding.js";
import { isCodebook, type FrozenGrid, type FrozenNetwork } from "./freeze.js";

/** Bits of a bias's integer that lose nothing of a float32 number. */
const EXACT_BITS = 24;
const LARGEST_INT32 = 2 ** 31;

/**
 * The network with larger steps for channels whose weights are all 0, where the bias does not fit
 * 32 bits in steps of the accumulator: such a channel was given the smallest scale that there is,
 * and any other holds its weights as well.
 */
export function roomForBiases(frozen: FrozenNetwork): FrozenNetwork {
  const weights = new Map(frozen.weights);
  for (const layer of frozen.network.nodes.filter(isLayer)) {
    const id = `${layer.name}/kernel`;
    const weight = weights.get(id);
    const bias = frozen.biases.get(layer.name);
    const steps = accumulatorSteps(frozen, layer);
    if (weight === undefined || bias === undefined || steps === undefined) continue;
    const { on, codes } = weight;
    // Where all channels share a scale, it is that of channels that have weights.
    if (isCodebook(on) || on.scale.length !== bias.length) continue;
    const empty = emptyChannels(codes, on);
    const scale = on.scale.map((step, channel) => {
      const needed = Math.abs((bias[channel] ?? 0) / (steps[channel] ?? 1));
      return empty[channel] === true && needed >= LARGEST_INT32 ? step * factorFor(needed) : step;
    });
    weights.set(id, { on: { scale, zeroPoint: on.zeroPoint }, codes });
  }
  return { ...frozen, weights };
}

/** A power of two that leaves so many steps of a bias. */
const factorFor = (steps: number): number => 2 ** (Math.floor(log2(steps)) + 1 - EXACT_BITS);

/** Whether each output channel's weights are all 0; output channels lie last in every kernel. */
function emptyChannels(codes: Int32Array, { scale, zeroPoint }: FrozenGrid): boolean[] {
  const empty = new Array<boolean>(scale.length).fill(true);
  codes.forEach((code, i) => {
    const channel = i % scale.length;
    if (code !== (zeroPoint[channel] ?? 0)) empty[channel] = false;
  });
  return empty;
}
