import type { QuantizerSite } from "../../algorithms/algorithm.js";
import { FLOAT_BITS, type OperatorKind } from "../../backends/hardware/hardware.js";
import { isLayer, multiplications, parameterSpecs } from "../network/index.js";
import { isCodebook, type FrozenNetwork, type FrozenWeight } from "./freeze.js";

/**
 * Ways of storing weights of which some are 0: all of them; of every four along the input channels two and
 * their places (2 bits each); or a bit for each and the values of those that are not 0. A layer that one
 * cannot hold, or that is smaller without, is stored dense. Of two that take the same, the more regular one is named.
 */
export const STORAGE_FORMATS = ["dense", "2:4", "bitmap"] as const;
export type StorageFormat = (typeof STORAGE_FORMATS)[number];

/** What zeros among a network's weights are worth. */
export interface Sparsity {
  readonly weights: number;
  readonly nonzero: number;
  /** Of an image, with weights that are not 0. */
  readonly effectiveMacs: number;
  /** Of all weights, without scales and biases, in the format that takes least. */
  readonly storedBytes: number;
  readonly format: StorageFormat;
}

interface Kernel {
  readonly shape: readonly number[];
  readonly bits: number;
  readonly isZero: readonly boolean[];
  readonly depthwise: boolean;
}

/**
 * Counts the zeros of a frozen network, integers that stand for 0 or floats.
 *
 * @param channelBits widths of each output channel, where they differ, by the weight's site
 * @param operators what weights do that do not multiply, by their site
 */
export function sparsityOf(
  frozen: FrozenNetwork,
  channelBits: ReadonlyMap<string, readonly number[]> = new Map(),
  operators: ReadonlyMap<string, OperatorKind> = new Map(),
): Sparsity {
  const { network, sites } = frozen;
  const macs = multiplications(network);
  const specs = parameterSpecs(network);
  const siteOf = new Map(sites.map((site) => [site.id, site]));
  const total = { weights: 0, nonzero: 0, effectiveMacs: 0 };
  const bits: Record<StorageFormat, number> = { dense: 0, bitmap: 0, "2:4": 0 };
  for (const layer of network.nodes.filter(isLayer)) {
    const id = `${layer.name}/kernel`;
    const site = siteOf.get(id);
    const widths = channelBits.get(id) ?? [site?.scheme.bitWidth ?? FLOAT_BITS];
    const kernel = {
      shape: specs.get(id)?.shape ?? [],
      bits: widths.reduce((a, b) => a + b, 0) / widths.length,
      isZero: zerosOf(frozen, id, site),
      depthwise: layer.op === "conv2d" && layer.depthwise,
    };
    const weights = kernel.isZero.length;
    const nonzero = kernel.isZero.filter((zero) => !zero).length;
    total.weights += weights;
    total.nonzero += nonzero;
    if ((operators.get(id) ?? "convolution") === "convolution")
      total.effectiveMacs += ((macs.get(layer.name) ?? 0) / weights) * nonzero;
    for (const format of STORAGE_FORMATS) bits[format] += layerBits(kernel, nonzero, format);
  }
  const format = STORAGE_FORMATS.reduce((best, other) => (bits[other] < bits[best] ? other : best));
  return { ...total, storedBytes: Math.ceil(bits[format] / 8), format };
}

function layerBits(kernel: Kernel, nonzero: number, format: StorageFormat): number {
  const weights = kernel.isZero.length;
  const dense = weights * kernel.bits;
  if (format === "bitmap") return Math.min(dense, weights + nonzero * kernel.bits);
  if (format === "2:4" && isTwoOfFour(kernel))
    return Math.min(dense, (weights / 2) * (kernel.bits + 2));
  return dense;
}

/** Whether of every four weights along the input channels at most two are not 0. */
function isTwoOfFour({ shape, isZero, depthwise }: Kernel): boolean {
  const [inputs = 0, outputs = 1] = shape.slice(-2);
  if (depthwise || inputs % 4 !== 0) return false;
  for (let start = 0; start < isZero.length; start += 4 * outputs) {
    for (let output = 0; output < outputs; output++) {
      let kept = 0;
      for (let input = 0; input < 4; input++) if (!isZero[start + input * outputs + output]) kept++;
      if (kept > 2) return false;
    }
  }
  return true;
}

function zerosOf(
  { weights, kernels }: FrozenNetwork,
  id: string,
  site: QuantizerSite | undefined,
): readonly boolean[] {
  const weight = weights.get(id);
  if (weight !== undefined && site !== undefined) return zerosOfCodes(weight, site);
  const floats = kernels.get(id);
  if (floats === undefined) throw new Error(`kernel "${id}" was not frozen`);
  return Array.from(floats.data, (value) => value === 0);
}

function zerosOfCodes({ on, codes }: FrozenWeight, site: QuantizerSite): readonly boolean[] {
  if (isCodebook(on)) return Array.from(codes, (code) => on.levels[code] === 0);
  const { zeroPoint } = on;
  const inner = site.shape.slice(site.channelAxis + 1).reduce((a, b) => a * b, 1);
  return Array.from(codes, (code, i) => {
    const channel = zeroPoint.length === 1 ? 0 : Math.floor(i / inner) % zeroPoint.length;
    return code === zeroPoint[channel];
  });
}
