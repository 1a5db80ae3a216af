import type { HostTensor, HostTensors } from "../engine/index.js";
import { BATCH_NORM_EPSILON } from "./batchNorm.js";
import { scaleFilters } from "./foldBatchNorm.js";
import { consumersOf, isLayer } from "./graph.js";
import type { ConvNode, DenseNode, Network, NetworkNode } from "../../algorithms/network.js";
import { existing } from "../../algorithms/existing.js";

/** Passes over all pairs; ranges settle within a few. */
const EQUALIZATION_PASSES = 20;
/** Factors stay within this and its inverse, as in MQBench's implementation. */
const LARGEST_FACTOR = 1e6;

/**
 * Cross-layer equalization (Nagel et al., 2019, equation 11): divides each channel between two
 * layers by s = sqrt(r1 * r2) / r2 in the first and multiplies by it in the second, r being the
 * largest weights that make and read the channel. A ReLU between them lets s through, so the
 * network computes the same. The first layer needs its batch norm folded, whose gamma and beta
 * take the factor.
 */
export function equalize(network: Network, parameters: HostTensors): HostTensors {
  const pairs = network.nodes.flatMap((node) => {
    if (node.op !== "conv2d" || node.foldedBatchNorm === undefined) return [];
    const second = onlyReader(network, node.name);
    return second === undefined ? [] : [{ first: node, second, batchNorm: node.foldedBatchNorm }];
  });
  const tensors: Record<string, HostTensor> = { ...parameters };
  for (let pass = 0; pass < EQUALIZATION_PASSES; pass++) {
    for (const { first, second, batchNorm } of pairs) {
      const gamma = existing(tensors, `${batchNorm}/gamma`);
      const variance = existing(tensors, `${batchNorm}/variance`).data;
      const folded = scaleFilters(
        first,
        existing(tensors, `${first.name}/kernel`),
        Float32Array.from(
          gamma.data,
          (g, i) => g / Math.sqrt((variance[i] ?? 1) + BATCH_NORM_EPSILON),
        ),
      );
      const r1 = largestByFilter(first, folded);
      const readKernel = existing(tensors, `${second.name}/kernel`);
      const r2 = largestByInput(second, readKernel);
      const factors = r1.map((a, channel) => {
        const b = r2[channel] ?? 0;
        if (a === 0 || b === 0) return 1;
        return Math.min(Math.max(Math.sqrt(a * b) / b, 1 / LARGEST_FACTOR), LARGEST_FACTOR);
      });
      for (const part of ["gamma", "beta"]) {
        const { shape, data } = existing(tensors, `${batchNorm}/${part}`);
        tensors[`${batchNorm}/${part}`] = {
          dtype: "float32",
          shape,
          data: Float32Array.from(data, (value, i) => value / (factors[i] ?? 1)),
        };
      }
      tensors[`${second.name}/kernel`] = scaleInputs(second, readKernel, factors);
    }
  }
  return tensors;
}

/** The layer that alone reads a convolution, through nothing but ReLU, pooling and quantizers. */
function onlyReader(network: Network, name: string): ConvNode | DenseNode | undefined {
  const [reader, ...others] = consumersOf(network, name);
  if (reader === undefined || others.length > 0) return undefined;
  if (isLayer(reader))
    return reader.op === "conv2d" && (reader.groups ?? 1) > 1 ? undefined : reader;
  const lets: readonly NetworkNode["op"][] = ["relu", "globalAveragePool", "maxPool", "quantize"];
  return lets.includes(reader.op) ? onlyReader(network, reader.name) : undefined;
}

function largestByFilter(node: ConvNode, { shape, data }: HostTensor): Float64Array {
  const inner = node.depthwise ? (shape[3] ?? 1) : 1;
  const largest = new Float64Array(node.filters);
  data.forEach((weight, i) => {
    const filter = Math.floor(i / inner) % node.filters;
    largest[filter] = Math.max(largest[filter] ?? 0, Math.abs(weight));
  });
  return largest;
}

/** Which input channel the element at an index of a kernel reads. */
function inputChannel(node: ConvNode | DenseNode, shape: readonly number[]) {
  const outputs = node.op === "conv2d" && node.depthwise ? 1 : (shape.at(-1) ?? 1);
  const inputs = shape.at(-2) ?? 1;
  return (index: number): number => Math.floor(index / outputs) % inputs;
}

function largestByInput(node: ConvNode | DenseNode, { shape, data }: HostTensor): Float64Array {
  const channelOf = inputChannel(node, shape);
  const largest = new Float64Array(shape.at(-2) ?? 1);
  data.forEach((weight, i) => {
    const channel = channelOf(i);
    largest[channel] = Math.max(largest[channel] ?? 0, Math.abs(weight));
  });
  return largest;
}

function scaleInputs(
  node: ConvNode | DenseNode,
  { shape, data }: HostTensor,
  factors: Float64Array,
): HostTensor {
  const channelOf = inputChannel(node, shape);
  const scaled = Float32Array.from(data, (weight, i) => weight * (factors[channelOf(i)] ?? 1));
  return { dtype: "float32", shape, data: scaled };
}
