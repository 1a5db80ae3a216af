import type { ConvNode, DenseNode, Network } from "../../algorithms/network.js";
import type { FrozenNetwork } from "../freeze/index.js";
import { parameterSpecs } from "../network/index.js";
import type { Refuse } from "./form.js";

/**
 * Where a form has the axes of this project's kernels: [rows, columns, inputs, filters], depthwise
 * [rows, columns, channels, 1], dense [inputs, units].
 */
export interface KernelOrder {
  readonly convolution: readonly number[];
  readonly depthwise: readonly number[];
  readonly dense: readonly number[];
}

export interface OrderedKernel {
  /** Of its site and parameter. */
  readonly id: string;
  /** In the form. */
  readonly shape: readonly number[];
  /** Elements of the kernel, or its codes, as the form has them. */
  readonly ordered: (data: ArrayLike<number>) => Float32Array;
}

export function kernelOf(
  network: Network,
  layer: ConvNode | DenseNode,
  orders: KernelOrder,
): OrderedKernel {
  const id = `${layer.name}/kernel`;
  const shape = parameterSpecs(network).get(id)?.shape ?? [];
  const kind = layer.op === "dense" ? "dense" : layer.depthwise ? "depthwise" : "convolution";
  const order = orders[kind];
  return {
    id,
    shape: order.map((axis) => shape[axis] ?? 1),
    ordered: (data) => transpose(data, shape, order),
  };
}

/** Elements in another order of the axes. */
function transpose(
  data: ArrayLike<number>,
  shape: readonly number[],
  order: readonly number[],
): Float32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const axes = order
    .map((axis) => ({ size: shape[axis] ?? 1, stride: strides[axis] ?? 1, index: 0 }))
    .reverse();
  const result = new Float32Array(data.length);
  let source = 0;
  for (let target = 0; target < result.length; target++) {
    result[target] = data[source] ?? 0;
    for (const axis of axes) {
      source += axis.stride;
      if (++axis.index < axis.size) break;
      source -= axis.stride * axis.size;
      axis.index = 0;
    }
  }
  return result;
}

/** A layer's bias in whole steps of its accumulator. */
export function biasCodes(
  { biases }: FrozenNetwork,
  { name }: ConvNode | DenseNode,
  steps: Float32Array,
): number[] | undefined {
  const bias = biases.get(name);
  return bias && Array.from(bias, (value, i) => Math.round(value / (steps[i] ?? 1)));
}

export const fitInt32 = (codes: readonly number[]): boolean =>
  codes.every((code) => Math.abs(code) < 2 ** 31);

/** The same for forms that have nothing but 32 bits for it. */
export function int32Bias(
  frozen: FrozenNetwork,
  layer: ConvNode | DenseNode,
  { steps, refuse }: { readonly steps: Float32Array; readonly refuse: Refuse },
): number[] | undefined {
  const codes = biasCodes(frozen, layer, steps);
  if (codes !== undefined && !fitInt32(codes))
    return refuse(layer.name, "its bias does not fit 32 bits in steps of the accumulator");
  return codes;
}
