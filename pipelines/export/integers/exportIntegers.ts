import type {
  AddNode,
  GlobalAveragePoolNode,
  MaxPoolNode,
  UnaryNode,
} from "../../../algorithms/network.js";
import type { IntegerArithmetic } from "../../../backends/backend.js";
import { type FrozenNetwork, isClippedByCodes } from "../../freeze/index.js";
import {
  addOutputs,
  batchNormalization,
  exposeActivations,
  floatOperation,
  graphFor,
  imageInput,
  poolAttributes,
} from "../onnx/model.js";
import { walk, type Writer } from "../walk.js";
import { findNode } from "../../network/index.js";
import { adder } from "./adder.js";
import { layer } from "./layers.js";
import { quantizer } from "./quantizer.js";
import {
  centered,
  isSum,
  onGrid,
  realOf,
  refuse,
  sumOf,
  type Value,
  type Writing,
} from "./values.js";

/**
 * A network in integers, as an ONNX graph: 8-bit storage, 32-bit sums and biases, and a backend's
 * own way from sums to the next integers. Runs on any ONNX runtime, in operators (Conv of whole numbers
 * where float32 holds every sum, ConvInteger, MatMulInteger, elementwise ones) that know nothing of scales.
 * What the backend's graph rule leaves in float is computed so, between the integers.
 *
 * @throws NoForm naming the layer or quantizer that is not one of 8-bit integers
 */
export function exportIntegers(
  frozen: FrozenNetwork,
  name: string,
  arithmetic: IntegerArithmetic,
  { exposeSites = false }: { readonly exposeSites?: boolean } = {},
): Uint8Array {
  const graph = graphFor(frozen);
  const writing = walk(frozen, { graph, arithmetic }, writer);
  addOutputs(writing, (node) => realOf(writing, node));
  if (exposeSites)
    exposeActivations(writing, (site) => ({ tensor: realOf(writing, site), type: "float32" }));
  return graph.toBytes(name);
}

const writer: Writer<Writing, Value> = {
  input: (node, writing) => ({ real: imageInput(node, writing) }),
  quantize: quantizer,
  conv2d: layer,
  dense: layer,
  batchNorm,
  relu(node, { graph, valueOf }) {
    const value = valueOf(node.input);
    return isSum(value) ? { ...value, rectified: true } : { real: graph.add("Relu", [value.real]) };
  },
  relu6(node, writing) {
    const { frozen, graph, valueOf } = writing;
    const value = valueOf(node.input);
    // Its bounds are part of the integers of the quantizers that read it; see `keptRange`.
    if (isSum(value) && isClippedByCodes(frozen, node.name)) return { ...value, rectified: true };
    const bounds = [graph.scalar(0), graph.scalar(6)];
    return { real: graph.add("Clip", [realOf(writing, node.input), ...bounds]) };
  },
  add,
  globalAveragePool,
  maxPool,
  concat: (node, writing) => ({
    real: writing.graph.add("Concat", realsOf(node, writing), { axis: 1 }),
  }),
  permuteChannels(node, writing) {
    const inputs = [realOf(writing, node.input), writing.graph.integers(node.order)];
    return { real: writing.graph.add("Gather", inputs, { axis: 1 }) };
  },
  float: (node, writing) =>
    adder(node, writing) ?? { real: floatOperation(node, writing, realsOf(node, writing)) },
};

const realsOf = ({ inputs }: { readonly inputs: readonly string[] }, writing: Writing): string[] =>
  inputs.map((input) => realOf(writing, input));

/** Behind an adder layer, which no factor can be merged into, in float. */
function batchNorm({ name, input }: UnaryNode, writing: Writing): Value {
  const producer = findNode(writing.frozen.network, input);
  if (producer.op !== "float" || producer.operation.kind !== "adder")
    return refuse(name, "batch norm is not part of a convolution");
  return { real: batchNormalization(name, writing, realOf(writing, input)) };
}

/** Sums that are added stay sums, of more terms. */
function add(node: AddNode, writing: Writing): Value {
  const terms = node.inputs.flatMap((input) => {
    const value = writing.valueOf(input);
    return isSum(value) && !value.rectified ? [value.terms] : [];
  });
  if (terms.length === node.inputs.length) return sumOf(...terms.flat());
  return { real: writing.graph.add("Add", realsOf(node, writing)) };
}

function globalAveragePool({ input, keepsAxes }: GlobalAveragePoolNode, writing: Writing): Value {
  const { graph } = writing;
  const keepdims = keepsAxes ? 1 : 0;
  const axes = graph.integers([2, 3]);
  const term = onGrid(writing, input);
  if (term === undefined)
    return { real: graph.add("ReduceMean", [realOf(writing, input), axes], { keepdims }) };
  const [height = 1, width = 1] = writing.shapeOf(input);
  const tensor = graph.add("ReduceSum", [term.tensor, axes], { keepdims });
  return sumOf({ tensor, steps: term.steps, divisor: height * width });
}

function maxPool(node: MaxPoolNode, writing: Writing): Value {
  const { graph } = writing;
  const codes = onGrid(writing, node.input)?.codes;
  const pool = (x: string) => graph.add("MaxPool", [x], poolAttributes(node));
  if (codes === undefined) return { real: pool(realOf(writing, node.input)) };
  return sumOf(centered(graph, { ...codes, tensor: pool(codes.tensor) }));
}
