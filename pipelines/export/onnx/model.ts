import type { ConvNode, FloatNode, InputNode, MaxPoolNode } from "../../../algorithms/network.js";
import { dequantized, type FrozenNetwork } from "../../freeze/index.js";
import { definitionOf, existing, windowOf } from "../../network/index.js";
import { type Attributes, OnnxGraph, type OnnxType } from "../../onnx/index.js";
import type { KernelOrder } from "../layers.js";
import { exposedName, freeName, imageName, LOGITS_OUTPUT } from "../names.js";
import type { Walked } from "../walk.js";

/** What the forms have in common that are ONNX graphs. */
export interface OnnxWalked<Value> extends Walked<Value> {
  readonly graph: OnnxGraph;
}

/** A graph whose own names are none of the network's. */
export const graphFor = ({ network }: FrozenNetwork): OnnxGraph =>
  new OnnxGraph((wanted) => freeName(network, wanted));

/** [filters, inputs, rows, columns]; dense [inputs, units]. */
export const ONNX_KERNELS: KernelOrder = {
  convolution: [3, 2, 0, 1],
  depthwise: [2, 3, 0, 1],
  dense: [0, 1],
};

/** Declares the images: NCHW. */
export function imageInput(node: InputNode, { frozen, graph }: OnnxWalked<unknown>): string {
  const [height = 1, width = 1, channels = 1] = node.shape;
  const name = imageName(frozen.network, node);
  return graph.input(name, "float32", ["batch", channels, height, width]);
}

/**
 * Declares the logits an output.
 *
 * @param realOf the value of a node in real numbers
 */
export function addOutputs(
  { frozen: { network }, graph, shapeOf, free }: OnnxWalked<unknown>,
  realOf: (node: string) => string,
): void {
  const last = network.nodes.at(-1)?.name ?? "";
  const logits = realOf(last);
  // A last node of the output's name may be the output itself.
  const name = logits === LOGITS_OUTPUT ? logits : free(LOGITS_OUTPUT);
  graph.output(name, logits, "float32", ["batch", ...shapeOf(last)]);
}

/** What an output shows of an activation. */
export interface Shown {
  readonly tensor: string;
  readonly type: OnnxType;
}

/** Declares every quantized activation an output. */
export function exposeActivations(
  { frozen: { network, sites }, graph, shapeOf }: OnnxWalked<unknown>,
  shownOf: (site: string) => Shown,
): void {
  for (const { id, role } of sites) {
    if (role !== "activation") continue;
    const [...dimensions] = shapeOf(id);
    const channels = dimensions.pop() ?? 1;
    const { tensor, type } = shownOf(id);
    graph.output(exposedName(network, id), tensor, type, ["batch", channels, ...dimensions]);
  }
}

export function convolutionAttributes(node: ConvNode) {
  const { size, stride, padding, dilation } = windowOf({ ...node, size: node.kernelSize });
  return {
    ...{ kernel_shape: size, strides: stride, pads: padding, dilations: dilation },
    group: node.depthwise ? node.filters : (node.groups ?? 1),
  };
}

export function poolAttributes(node: MaxPoolNode): Attributes {
  const { size, stride, padding } = windowOf(node);
  return { kernel_shape: size, strides: stride, pads: padding };
}

/** A batch norm that stays. @param x in real numbers */
export function batchNormalization(
  name: string,
  { frozen, graph }: OnnxWalked<unknown>,
  x: string,
): string {
  const parameters = frozen.batchNorms.get(name);
  if (parameters === undefined) throw new Error(`batch norm "${name}" was not frozen`);
  const { gamma, beta, mean, variance, epsilon } = parameters;
  const vectors = [gamma, beta, mean, variance].map((data) =>
    graph.constant("float32", [data.length], data),
  );
  return graph.add("BatchNormalization", [x, ...vectors], { epsilon: { float: epsilon } }, name);
}

/** @param inputs values in real numbers */
export function floatOperation(
  { name, operation, inputs: nodes }: FloatNode,
  { frozen, graph, shapeOf }: OnnxWalked<unknown>,
  inputs: readonly string[],
): string {
  return definitionOf(operation).onnx(operation, {
    ...{ graph, inputs, name },
    shapes: nodes.map(shapeOf),
    parameter(key) {
      const id = `${name}/${key}`;
      const given = existing(frozen.floats, id);
      return frozen.weights.has(id) ? { ...given, data: dequantized(frozen, id) } : given;
    },
  });
}
