import * as tf from "#tf";
import type { Algorithm, QuantizerSite } from "../../algorithms/algorithm.js";
import { rangeOf } from "../../algorithms/affine.js";
import type { QuantRange } from "../../backends/scheme.js";
import type { Engine, HostTensor, HostTensors, StepFunction } from "../engine/index.js";
import {
  asDeployed,
  BATCH_NORM_EPSILON,
  featureShapes,
  forward,
  isLayer,
  type QuantizedNetwork,
  quantizerOf,
  uniformGrid,
  valueName,
  valuesOf,
} from "../network/index.js";
import type { Network } from "../../algorithms/network.js";

/** The integer grid of one site, as deployment sees it. */
export interface FrozenGrid {
  /** One number per tensor, or one per channel. */
  readonly scale: Float32Array;
  readonly zeroPoint: Float32Array;
}

/** Levels without equal steps: x is put on the level with as many thresholds at or below x. */
export interface FrozenCodebook {
  readonly levels: Float32Array;
  readonly thresholds: Float32Array;
}
export type FrozenLevels = FrozenGrid | FrozenCodebook;

export const isCodebook = (levels: FrozenLevels): levels is FrozenCodebook => "levels" in levels;

export interface FrozenWeight {
  readonly on: FrozenLevels;
  /** Integers of the grid, or places in the codebook, in the order of the tfjs kernel. */
  readonly codes: Int32Array;
}

/** A trained network with nothing left to learn: what is exported. */
export interface FrozenNetwork extends QuantizedNetwork {
  /** Kernels of layers that are not quantized. */
  readonly kernels: ReadonlyMap<string, HostTensor>;
  readonly weights: ReadonlyMap<string, FrozenWeight>;
  readonly activations: ReadonlyMap<string, FrozenLevels>;
  /** Biases, those that folding a batch norm leaves included, by layer. */
  readonly biases: ReadonlyMap<string, Float32Array>;
  /** Scale and shift of each batch norm that stays, by node. */
  readonly batchNorms: ReadonlyMap<string, FrozenBatchNorm>;
  /** What operations in float were given, by parameter. */
  readonly floats: HostTensors;
}

export interface FrozenBatchNorm {
  readonly gamma: Float32Array;
  readonly beta: Float32Array;
  readonly mean: Float32Array;
  readonly variance: Float32Array;
  readonly epsilon: number;
}

/** A float network as a frozen one without quantizers. */
export function freezeFloat(network: Network, parameters: HostTensors): FrozenNetwork {
  const kernels = new Map<string, HostTensor>();
  for (const [name, tensor] of Object.entries(parameters)) {
    if (name.endsWith("/kernel")) kernels.set(name, tensor);
  }
  return {
    network,
    sites: [],
    kernels,
    weights: new Map(),
    activations: new Map(),
    biases: ownBiases(network, parameters),
    batchNorms: batchNorms(network, parameters),
    floats: floats(network, parameters),
  };
}

/**
 * Computes every integer weight, scale, zero point and bias on the engine that trained them.
 *
 * @throws RangeError naming the site when a quantizer's output does not lie on its own grid
 */
export async function freeze(
  engine: Engine,
  quantized: QuantizedNetwork,
  { algorithm, tensors }: { readonly algorithm: Algorithm; readonly tensors: HostTensors },
): Promise<FrozenNetwork> {
  const { network, sites } = quantized;
  const outputs = await frozenValues(engine, quantized, { algorithm, tensors });
  const weights = new Map<string, FrozenWeight>();
  const activations = new Map<string, FrozenLevels>();
  for (const site of sites) {
    const on = levelsOf(site, outputs);
    if (site.role === "activation") {
      activations.set(site.id, on);
      for (const id of filtersOn(site, network))
        weights.set(id, frozenWeight(site, on, values(outputs, onSharedGrid(id))));
    } else {
      const dequantized = values(outputs, valueName(site, "dequantized"));
      weights.set(site.id, frozenWeight(site, on, dequantized));
    }
  }
  const kernels = new Map<string, HostTensor>();
  const biases = new Map<string, Float32Array>();
  for (const { name } of network.nodes) {
    const kernel = outputs[inFloat(`${name}/kernel`)];
    if (kernel !== undefined) kernels.set(`${name}/kernel`, kernel);
    if (`${name} bias` in outputs) biases.set(name, values(outputs, `${name} bias`));
  }
  return {
    network,
    sites,
    kernels,
    weights,
    activations,
    biases,
    batchNorms: batchNorms(network, tensors),
    floats: floats(network, tensors),
  };
}

/** The filters of adder layers that are on the grid of what they read. */
const filtersOn = ({ id }: QuantizerSite, { nodes }: Network): readonly string[] =>
  nodes.flatMap((node) =>
    node.op === "float" && node.operation.kind === "adder" && node.operation.grid === id
      ? [`${node.name}/kernel`]
      : [],
  );

const onSharedGrid = (id: string) => `${id} on a shared grid`;

function frozenWeight(site: QuantizerSite, on: FrozenLevels, filters: Float32Array): FrozenWeight {
  const codes = isCodebook(on) ? codebookCodes(site, filters, on) : integerCodes(site, filters, on);
  return { on, codes };
}

/** How the kernel of a layer is called that is left in float, as a folded batch norm makes it. */
const inFloat = (id: string) => `${id} in float`;

async function frozenValues(
  engine: Engine,
  { network, sites }: QuantizedNetwork,
  { algorithm, tensors }: { readonly algorithm: Algorithm; readonly tensors: HostTensors },
): Promise<HostTensors> {
  const [height = 1, width = 1, channels = 1] = [...featureShapes(network).values()][0] ?? [];
  const step: StepFunction = (current) => {
    const results: Record<string, tf.Tensor> = {};
    const byId = new Map(sites.map((site) => [site.id, site]));
    const layers = new Set(network.nodes.filter(isLayer).map(({ name }) => `${name}/kernel`));
    const deployed = asDeployed(algorithm, { network, sites }, current);
    // One black image: only what happens at the sites is of interest.
    forward(network, tf.zeros([1, height, width, channels]), {
      parameters: current,
      training: false,
      quantize(id, x, parameter) {
        const site = byId.get(id);
        if (parameter !== undefined && site !== undefined) {
          const onGrid = deployed.quantize(id, x);
          results[onSharedGrid(parameter)] = onGrid;
          return onGrid;
        }
        if (site === undefined) {
          if (layers.has(id)) results[inFloat(id)] = x;
          return x;
        }
        const isWeight = site.role === "weight";
        const weight = isWeight ? x : undefined;
        const siteValues = valuesOf(site, current);
        const codebook = quantizerOf(algorithm, site).codebook?.(siteValues, site, weight);
        const levels = codebook ?? uniformGrid(algorithm, site, siteValues, weight);
        for (const [name, tensor] of Object.entries<tf.Tensor>({ ...levels })) {
          results[valueName(site, name)] = tensor;
        }
        const dequantized = deployed.quantize(id, x);
        if (isWeight) results[valueName(site, "dequantized")] = dequantized;
        return dequantized;
      },
      bias(layer, kernel, exact) {
        const onGrid = deployed.bias(layer, kernel, exact);
        results[`${layer.name} bias`] = onGrid;
        return onGrid;
      },
    });
    return results;
  };
  const compiled = await engine.compile(step, tensors);
  try {
    return await compiled.run(tensors);
  } finally {
    await compiled.release();
  }
}

function levelsOf(site: QuantizerSite, outputs: HostTensors): FrozenLevels {
  if (valueName(site, "levels") in outputs) {
    const levels = values(outputs, valueName(site, "levels"));
    const thresholds = values(outputs, valueName(site, "thresholds"));
    checkCodebook(site, { levels, thresholds });
    return { levels, thresholds };
  }
  const scale = values(outputs, valueName(site, "scale"));
  const zeroPoint = values(outputs, valueName(site, "zeroPoint"));
  checkGrid(site, { scale, zeroPoint });
  return { scale, zeroPoint };
}

function checkCodebook(site: QuantizerSite, { levels, thresholds }: FrozenCodebook): void {
  const { bitWidth } = site.scheme;
  if (levels.length > 2 ** bitWidth || thresholds.length !== levels.length - 1) {
    throw new RangeError(
      `the codebook of "${site.id}" has ${String(levels.length)} levels and ${String(thresholds.length)} thresholds; ${String(bitWidth)} bits hold ${String(2 ** bitWidth)} levels, with a threshold between each two`,
    );
  }
  for (const list of [levels, thresholds]) {
    const wrong = list.findIndex((value, i) => !(value >= (list[i - 1] ?? -Infinity)));
    if (wrong >= 0) {
      throw new RangeError(
        `the codebook of "${site.id}" does not rise: ${String(list[wrong - 1])}, ${String(list[wrong])}`,
      );
    }
  }
}

function values(tensors: HostTensors, name: string): Float32Array {
  const data = tensors[name]?.data;
  if (!(data instanceof Float32Array)) throw new Error(`no float values named "${name}"`);
  return data;
}

function ownBiases(network: Network, tensors: HostTensors): Map<string, Float32Array> {
  const biases = new Map<string, Float32Array>();
  for (const node of network.nodes) {
    if (node.op === "dense" || (node.op === "conv2d" && node.bias))
      biases.set(node.name, values(tensors, `${node.name}/bias`));
  }
  return biases;
}

function floats({ nodes }: Network, tensors: HostTensors): HostTensors {
  const names = nodes.filter(({ op }) => op === "float").map(({ name }) => `${name}/`);
  return Object.fromEntries(
    Object.entries(tensors).filter(([key]) => names.some((name) => key.startsWith(name))),
  );
}

function batchNorms(network: Network, tensors: HostTensors): Map<string, FrozenBatchNorm> {
  const found = new Map<string, FrozenBatchNorm>();
  for (const { op, name } of network.nodes) {
    if (op !== "batchNorm") continue;
    found.set(name, {
      gamma: values(tensors, `${name}/gamma`),
      beta: values(tensors, `${name}/beta`),
      mean: values(tensors, `${name}/mean`),
      variance: values(tensors, `${name}/variance`),
      epsilon: BATCH_NORM_EPSILON,
    });
  }
  return found;
}

function checkGrid(site: QuantizerSite, { scale, zeroPoint }: FrozenGrid): void {
  const { quantMin, quantMax } = rangeOf(site);
  const wrongScale = scale.find((value) => !(value > 0 && Number.isFinite(value)));
  if (wrongScale !== undefined) {
    throw new RangeError(
      `scale of "${site.id}" must be positive and finite, got ${String(wrongScale)}`,
    );
  }
  const wrongZero = zeroPoint.find((z) => !Number.isInteger(z) || z < quantMin || z > quantMax);
  if (wrongZero !== undefined) {
    throw new RangeError(
      `zeroPoint of "${site.id}" must be a whole number in [${String(quantMin)}, ${String(quantMax)}], got ${String(wrongZero)}`,
    );
  }
}

/** How far from a whole number of steps a quantizer's output may lie: float32 noise, in steps. */
const gridTolerance = ({ quantMin, quantMax }: QuantRange): number =>
  Math.max(1e-3, (quantMax - quantMin) * 2e-7);

/** The integers behind a quantizer's output. */
export function integerCodes(
  site: QuantizerSite,
  dequantized: Float32Array,
  { scale, zeroPoint }: FrozenGrid,
): Int32Array {
  const { quantMin, quantMax } = rangeOf(site);
  const tolerance = gridTolerance({ quantMin, quantMax });
  const inner = site.shape.slice(site.channelAxis + 1).reduce((a, b) => a * b, 1);
  const channels = site.shape[site.channelAxis] ?? 1;
  const codes = new Int32Array(dequantized.length);
  dequantized.forEach((value, i) => {
    const channel = scale.length === 1 ? 0 : Math.floor(i / inner) % channels;
    const steps = value / (scale[channel] ?? 1) + (zeroPoint[channel] ?? 0);
    const code = Math.round(steps);
    if (Math.abs(steps - code) > tolerance || code < quantMin || code > quantMax) {
      throw new RangeError(
        `weight ${String(i)} of "${site.id}" is not on its grid: ${String(value)} is step ${String(steps)} of [${String(quantMin)}, ${String(quantMax)}]`,
      );
    }
    codes[i] = code;
  });
  return codes;
}

/**
 * The places in a codebook of a quantizer's output.
 *
 * @throws RangeError naming the site when a value lies on no level
 */
export function codebookCodes(
  site: QuantizerSite,
  dequantized: Float32Array,
  { levels }: FrozenCodebook,
): Int32Array {
  const reach = levels.reduce((most, level) => Math.max(most, Math.abs(level)), 0);
  return Int32Array.from(dequantized, (value, i) => {
    let nearest = 0;
    for (let code = 1; code < levels.length; code++) {
      const distance = (c: number) => Math.abs((levels[c] ?? NaN) - value);
      if (distance(code) < distance(nearest)) nearest = code;
    }
    if (Math.abs((levels[nearest] ?? NaN) - value) > reach * CODEBOOK_TOLERANCE) {
      throw new RangeError(
        `weight ${String(i)} of "${site.id}" is on none of its levels: ${String(value)}, nearest ${String(levels[nearest])}`,
      );
    }
    return nearest;
  });
}

/** How far from a level a value may lie, as a part of the largest level. */
const CODEBOOK_TOLERANCE = 1e-5;
