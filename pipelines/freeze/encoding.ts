import { rangeOf } from "../../algorithms/affine.js";
import type { QuantizerSite } from "../../algorithms/algorithm.js";
import { roundHalfToEven } from "../../algorithms/observers/index.js";
import type { QuantRange } from "../../backends/scheme.js";
import { isCodebook, type FrozenLevels, type FrozenNetwork } from "./freeze.js";
import { consumersOf, featureShapes, findNode } from "../network/index.js";
import type { ConvNode, DenseNode } from "../../algorithms/network.js";

/** The values that a tensor may take: equal steps from low to high, per tensor or per channel. */
export interface Encoding {
  readonly low: readonly number[];
  readonly high: readonly number[];
  /** How many values there are. */
  readonly levels: number;
}

export const levelsOf = (frozen: FrozenNetwork, { id }: QuantizerSite): FrozenLevels => {
  const levels = frozen.activations.get(id) ?? frozen.weights.get(id)?.on;
  if (levels === undefined) throw new Error(`site "${id}" was not frozen`);
  return levels;
};

/** What the trained quantizer of a site does. */
export function encodingOf(
  site: QuantizerSite,
  levels: FrozenLevels,
  { quantMin, quantMax }: QuantRange = rangeOf(site),
): Encoding {
  if (isCodebook(levels)) {
    const { levels: values } = levels;
    return { low: [values[0] ?? 0], high: [values.at(-1) ?? 0], levels: values.length };
  }
  const at = (code: number) =>
    Array.from(levels.scale, (scale, i) => (code - (levels.zeroPoint[i] ?? 0)) * scale);
  return { low: at(quantMin), high: at(quantMax), levels: quantMax - quantMin + 1 };
}

/** Real values of a quantized kernel, in the order of tfjs. */
export function dequantized({ weights, sites }: FrozenNetwork, id: string): Float32Array {
  const weight = weights.get(id);
  if (weight === undefined) throw new Error(`kernel "${id}" is not quantized`);
  const { codes, on } = weight;
  if (isCodebook(on)) return Float32Array.from(codes, (code) => on.levels[code] ?? NaN);
  const site = sites.find((other) => other.id === id);
  // What shares the grid of an activation has no site of its own, and one scale.
  if (site === undefined && on.scale.length > 1) throw new Error(`no quantizer site "${id}"`);
  const inner = site?.shape.slice(site.channelAxis + 1).reduce((a, b) => a * b, 1) ?? 1;
  const channels = on.scale.length;
  const values = new Float32Array(codes.length); // from() with a function takes twenty times as long
  codes.forEach((code, i) => {
    const channel = channels === 1 ? 0 : Math.floor(i / inner) % channels;
    values[i] = (code - (on.zeroPoint[channel] ?? 0)) * (on.scale[channel] ?? NaN);
  });
  return values;
}

/**
 * Whether a ReLU6 becomes bounds on the integers of the quantizers that read it, which gives the
 * same values since rounding keeps order. Left as a float Clip, one that the integers make almost
 * superfluous (a grid that ends at 6.0007) has the optimizer of onnxruntime 1.30 build a graph
 * that it then rejects. Integers of 16 bits have no Clip in onnxruntime: there it stays in float.
 */
export function isClippedByCodes(
  { network, activations, sites }: FrozenNetwork,
  relu6: string,
): boolean {
  const readers = consumersOf(network, relu6);
  const isByte = (id: string) =>
    sites.some((site) => site.id === id && site.scheme.bitWidth <= LARGEST_CLIPPED_BITS);
  return (
    readers.length > 0 &&
    readers.every(({ op, name }) => {
      const levels = op === "quantize" ? activations.get(name) : undefined;
      return levels !== undefined && !isCodebook(levels) && isByte(name);
    })
  );
}

const LARGEST_CLIPPED_BITS = 8;

/** The integers that an activation's quantizer keeps: its range, less what a ReLU6 before it cuts. */
export function keptRange(frozen: FrozenNetwork, site: QuantizerSite): QuantRange {
  const { quantMin, quantMax } = rangeOf(site);
  const grid = levelsOf(frozen, site);
  const node = findNode(frozen.network, site.id);
  const producer = node.op === "quantize" ? findNode(frozen.network, node.input) : node;
  if (producer.op !== "relu6" || isCodebook(grid) || !isClippedByCodes(frozen, producer.name))
    return { quantMin, quantMax };
  const [scale = 1, zeroPoint = 0] = [grid.scale[0], grid.zeroPoint[0]];
  const six = roundHalfToEven(Math.fround(6 / scale)) + zeroPoint;
  return { quantMin: Math.max(quantMin, zeroPoint), quantMax: Math.min(quantMax, six) };
}

/** Real units per step of each output channel's sum; none where weight or input is not on a grid. */
export function accumulatorSteps(
  { network, weights, activations }: FrozenNetwork,
  layer: ConvNode | DenseNode,
): Float32Array | undefined {
  const weight = weights.get(`${layer.name}/kernel`);
  const input = activations.get(layer.input); // only quantizers are in there
  if (weight === undefined || isCodebook(weight.on)) return undefined;
  if (input === undefined || isCodebook(input)) return undefined;
  const { scale } = weight.on;
  const channels = featureShapes(network).get(layer.name)?.at(-1) ?? 1;
  return Float32Array.from(
    { length: channels },
    (_, channel) => (scale[scale.length === 1 ? 0 : channel] ?? 1) * (input.scale[0] ?? 1),
  );
}
