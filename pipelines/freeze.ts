import * as tf from "@tensorflow/tfjs";
import type { Algorithm, QuantizerSite } from "../algorithms/algorithm.js";
import { rangeOf } from "../algorithms/affine.js";
import type { Engine, HostTensor, HostTensors, StepFunction } from "./engine/index.js";
import { BATCH_NORM_EPSILON } from "./network/batchNorm.js";
import { forward } from "./network/forward.js";
import { featureShapes, type Network } from "./network/network.js";
import type { QuantizedNetwork } from "./network/placeQuantizers.js";
import { asDeployed, quantizerOf, valueName, valuesOf } from "./quantizers.js";

/** The integer grid of one site, as deployment sees it. */
export interface FrozenGrid {
  /** One number per tensor, or one per channel. */
  readonly scale: Float32Array;
  readonly zeroPoint: Float32Array;
}

export interface FrozenWeight extends FrozenGrid {
  /** Integers in the order of the tfjs kernel. */
  readonly codes: Int32Array;
}

/** A trained network with nothing left to learn: what is exported. */
export interface FrozenNetwork extends QuantizedNetwork {
  /** Kernels of layers that are not quantized. */
  readonly kernels: ReadonlyMap<string, HostTensor>;
  readonly weights: ReadonlyMap<string, FrozenWeight>;
  readonly activations: ReadonlyMap<string, FrozenGrid>;
  /** Biases, those that folding a batch norm leaves included, by layer. */
  readonly biases: ReadonlyMap<string, Float32Array>;
  /** Scale and shift of each batch norm that stays, by node. */
  readonly batchNorms: ReadonlyMap<string, FrozenBatchNorm>;
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
    biases: denseBiases(network, parameters),
    batchNorms: batchNorms(network, parameters),
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
  const activations = new Map<string, FrozenGrid>();
  for (const site of sites) {
    const scale = values(outputs, valueName(site, "scale"));
    const zeroPoint = values(outputs, valueName(site, "zeroPoint"));
    const grid = { scale, zeroPoint };
    checkGrid(site, grid);
    if (site.role === "activation") activations.set(site.id, grid);
    else {
      const dequantized = values(outputs, valueName(site, "dequantized"));
      weights.set(site.id, { ...grid, codes: integerCodes(site, dequantized, grid) });
    }
  }
  const biases = new Map<string, Float32Array>();
  for (const { name } of network.nodes) {
    if (`${name} bias` in outputs) biases.set(name, values(outputs, `${name} bias`));
  }
  return {
    network,
    sites,
    kernels: new Map(),
    weights,
    activations,
    biases,
    batchNorms: batchNorms(network, tensors),
  };
}

async function frozenValues(
  engine: Engine,
  { network, sites }: QuantizedNetwork,
  { algorithm, tensors }: { readonly algorithm: Algorithm; readonly tensors: HostTensors },
): Promise<HostTensors> {
  const [height = 1, width = 1, channels = 1] = [...featureShapes(network).values()][0] ?? [];
  const step: StepFunction = (current) => {
    const results: Record<string, tf.Tensor> = {};
    const byId = new Map(sites.map((site) => [site.id, site]));
    const deployed = asDeployed(algorithm, { network, sites }, current);
    // One black image: only what happens at the sites is of interest.
    forward(network, tf.zeros([1, height, width, channels]), {
      parameters: current,
      training: false,
      quantize(id, x) {
        const site = byId.get(id);
        if (site === undefined) return x;
        const isWeight = site.role === "weight";
        const quantizer = quantizerOf(algorithm, site);
        const grid = quantizer.quantParams(valuesOf(site, current), site, isWeight ? x : undefined);
        results[valueName(site, "scale")] = grid.scale;
        results[valueName(site, "zeroPoint")] = grid.zeroPoint;
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

function values(tensors: HostTensors, name: string): Float32Array {
  const data = tensors[name]?.data;
  if (!(data instanceof Float32Array)) throw new Error(`no float values named "${name}"`);
  return data;
}

function denseBiases(network: Network, tensors: HostTensors): Map<string, Float32Array> {
  const biases = new Map<string, Float32Array>();
  for (const node of network.nodes) {
    if (node.op === "dense") biases.set(node.name, values(tensors, `${node.name}/bias`));
  }
  return biases;
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

/** How far from a whole number of steps a quantizer's output may lie, in steps. */
const GRID_TOLERANCE = 1e-3;

/** The integers behind a quantizer's output. */
export function integerCodes(
  site: QuantizerSite,
  dequantized: Float32Array,
  { scale, zeroPoint }: FrozenGrid,
): Int32Array {
  const { quantMin, quantMax } = rangeOf(site);
  const inner = site.shape.slice(site.channelAxis + 1).reduce((a, b) => a * b, 1);
  const channels = site.shape[site.channelAxis] ?? 1;
  return Int32Array.from(dequantized, (value, i) => {
    const channel = scale.length === 1 ? 0 : Math.floor(i / inner) % channels;
    const steps = value / (scale[channel] ?? 1) + (zeroPoint[channel] ?? 0);
    const code = Math.round(steps);
    if (Math.abs(steps - code) > GRID_TOLERANCE || code < quantMin || code > quantMax) {
      throw new RangeError(
        `weight ${String(i)} of "${site.id}" is not on its grid: ${String(value)} is step ${String(steps)} of [${String(quantMin)}, ${String(quantMax)}]`,
      );
    }
    return code;
  });
}
