import { rangeOf } from "../../../algorithms/affine.js";
import type { AddNode, GlobalAveragePoolNode, NetworkNode } from "../../../algorithms/network.js";
import { type FrozenNetwork, isClippedByCodes } from "../../freeze/index.js";
import { operatorOf } from "../form.js";
import { addOutputs, graphFor, imageInput, poolAttributes } from "../onnx/model.js";
import { walk, type Writer } from "../walk.js";
import { convolution, dense } from "./layers.js";
import { quantizer } from "./quantizer.js";
import {
  codesOf,
  isWaiting,
  operand,
  realOf,
  refuse,
  waiting,
  type Value,
  type Writing,
} from "./values.js";

/**
 * Writes a network in operators that compute integers from integers (QLinearConv, QGemm,
 * QLinearAdd, QLinearGlobalAveragePool): the form that needs no fusing by whoever reads it. Codes
 * of a quantizer have the name of its site; where their range is smaller than their type's, a
 * Clip keeps it.
 *
 * @throws NoForm naming what is not one of 8-bit integers
 */
export function exportQLinear(frozen: FrozenNetwork, name: string): Uint8Array {
  const graph = graphFor(frozen);
  const writing = walk(frozen, { graph }, writer);
  addOutputs(writing, (node) => realOf(writing, node));
  for (const site of frozen.sites)
    graph.describe(`quantbench.site.${site.id}`, JSON.stringify(rangeOf(site)));
  return graph.toBytes(name);
}

const noOperator = (node: NetworkNode): never =>
  refuse(node.name, `${operatorOf(node)} has no QLinear operator`);

const writer: Writer<Writing, Value> = {
  input: (node, writing) => ({ real: imageInput(node, writing) }),
  quantize: quantizer,
  conv2d: convolution,
  dense,
  relu(node, writing) {
    const value = writing.valueOf(node.input);
    if (isWaiting(value)) return { ...value, rectified: true };
    return { real: clipped(writing, node.input, 3.4e38) };
  },
  relu6(node, writing) {
    const value = writing.valueOf(node.input);
    if (isWaiting(value) && isClippedByCodes(writing.frozen, node.name))
      return { ...value, rectified: true };
    return { real: clipped(writing, node.input, 6) };
  },
  add,
  globalAveragePool,
  maxPool(node, writing) {
    const codes = codesOf(writing, node.input);
    const pool = (x: string) => writing.graph.add("MaxPool", [x], poolAttributes(node));
    if (codes === undefined) return { real: pool(realOf(writing, node.input)) };
    return { codes: { ...codes, tensor: pool(codes.tensor) } };
  },
  concat: noOperator,
  permuteChannels: noOperator,
  batchNorm: noOperator,
  float: noOperator,
};

function clipped(writing: Writing, node: string, high: number): string {
  const { graph } = writing;
  const bounds = [graph.scalar(0), graph.scalar(high)];
  return graph.add("Clip", [realOf(writing, node), ...bounds]);
}

function add({ inputs }: AddNode, writing: Writing): Value {
  const { graph } = writing;
  const [a, b] = inputs.map((input) => codesOf(writing, input));
  const real = () =>
    graph.add(
      "Add",
      inputs.map((input) => realOf(writing, input)),
    );
  if (a === undefined || b?.type !== a.type) return { real: real() };
  return waiting(writing, a.type, {
    real,
    into: ({ grid, name }) =>
      graph.add("com.microsoft:QLinearAdd", [...operand(a), ...operand(b), ...grid], {}, name),
  });
}

function globalAveragePool({ input, keepsAxes }: GlobalAveragePoolNode, writing: Writing): Value {
  const { graph } = writing;
  const x = codesOf(writing, input);
  const flat = (pooled: string, name?: string) =>
    keepsAxes ? pooled : graph.add("Flatten", [pooled], {}, name);
  const real = () => flat(graph.add("GlobalAveragePool", [realOf(writing, input)]));
  if (x === undefined) return { real: real() };
  return waiting(writing, x.type, {
    real,
    into({ grid, name }) {
      const operator = "com.microsoft:QLinearGlobalAveragePool";
      const inputs = [...operand(x), ...grid];
      const pooledName = keepsAxes ? name : undefined;
      return flat(graph.add(operator, inputs, { channels_last: 0 }, pooledName), name);
    },
  });
}
