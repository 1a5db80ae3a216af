import { rangeOf } from "../../../algorithms/affine.js";
import type { NetworkNode, UnaryNode } from "../../../algorithms/network.js";
import { type FrozenNetwork, keptRange } from "../../freeze/index.js";
import { operatorOf, type RuntimeModel } from "../form.js";
import { imageName, LOGITS_OUTPUT } from "../names.js";
import { walk, type Writer } from "../walk.js";
import { flatten } from "./flatten.js";
import { concat, finish, quantizer } from "./fuse.js";
import { convolution, dense } from "./layers.js";
import { addOptions, meanOptions } from "./options.js";
import { maxPool } from "./padding.js";
import { checkSite } from "./sites.js";
import { TfliteModel } from "./tfliteModel.js";
import { batchShape, inFloat, refuse, tensorOf, type Value, type Writing } from "./writing.js";

interface TfliteExportOptions {
  /** Images at a time, which the format fixes. */
  readonly batch?: number;
  /** Weights of up to 4 bits are stored in 4: half the bytes, but slower kernels. */
  readonly packWeights?: boolean;
  /** A second output is the logits and 1 more: who reads both knows that they were computed. */
  readonly proves?: boolean;
}

/**
 * Writes a frozen network for TensorFlow Lite: int8 activations, int8 weights with a scale for
 * each output channel, int32 biases, float images in and float logits out. Ranges of less than
 * 8 bits are kept by MINIMUM and MAXIMUM. A last layer whose result is not quantized is computed
 * in float, from the same integers.
 *
 * @throws NoForm naming the quantizer or node that cannot be written so
 * @see https://ai.google.dev/edge/litert/models/quantization_spec
 */
export function exportTflite(
  frozen: FrozenNetwork,
  name: string,
  { batch = 1, packWeights = false, proves = false }: TfliteExportOptions = {},
): Required<Omit<RuntimeModel, "kernels">> {
  for (const site of frozen.sites) checkSite(frozen, site);
  const model = new TfliteModel();
  const writing = walk(frozen, { model, batch, packWeights, fused: new Map() }, writer);
  const { nodes } = frozen.network;
  const image = nodes.find(({ op }) => op === "input")?.name ?? "";
  const logits = tensorOf(writing, nodes.at(-1)?.name ?? "");
  const output = inFloat(writing, logits, LOGITS_OUTPUT);
  const description = JSON.stringify(
    Object.fromEntries(
      frozen.sites.map((site) => [
        site.id,
        site.role === "weight" ? rangeOf(site) : keptRange(frozen, site),
      ]),
    ),
  );
  const operators = model.operatorCounts;
  const outputs = proves ? [output, oneMore(writing, output)] : [output];
  const bytes = model.toBytes(tensorOf(writing, image), outputs, { name, description });
  return { bytes, operators, batch };
}

/** Values and 1 more, in float. */
function oneMore({ model, free }: Writing, values: number): number {
  const { shape } = model.at(values);
  const one = model.tensor({
    ...{ name: free("one"), type: "float32", shape: [1], data: Float32Array.of(1) },
  });
  const result = model.tensor({ name: free("one more"), type: "float32", shape });
  return model.add("ADD", [values, one], result, addOptions(0));
}

const noForm = (node: NetworkNode): never =>
  refuse(node.name, `${operatorOf(node)} has no form here yet`);

const writer: Writer<Writing, Value> = {
  input: (node, writing) =>
    writing.model.tensor({
      name: imageName(writing.frozen.network, node),
      ...{ type: "float32", shape: batchShape(writing, node.name) },
    }),
  quantize: quantizer,
  conv2d: convolution,
  dense,
  relu: activation,
  relu6: activation,
  add: (node, writing) =>
    finish(node, writing, {
      fuses: true,
      add(result, fused) {
        const inputs = node.inputs.map((input) => tensorOf(writing, input));
        writing.model.add("ADD", inputs, result, addOptions(fused));
      },
    }),
  globalAveragePool(node, writing) {
    const { model, free } = writing;
    const axes = model.tensor({
      ...{ name: free(`${node.name} axes`), type: "int32", shape: [2] },
      data: Int32Array.of(1, 2),
    });
    return finish(node, writing, {
      fuses: false,
      add(result) {
        const inputs = [tensorOf(writing, node.input), axes];
        model.add("MEAN", inputs, result, meanOptions(node.keepsAxes === true));
      },
    });
  },
  maxPool,
  concat,
  permuteChannels: noForm,
  batchNorm: noForm,
  float(node, writing) {
    const { operation } = node;
    if (operation.kind !== "flatten") return noForm(node);
    return flatten(node, writing, operation.channelsLast === true);
  },
};

/** An activation that is not part of the operator before it. */
function activation(node: UnaryNode, writing: Writing): Value {
  if (writing.fused.has(node.name)) return writing.fused.get(node.name);
  return finish(node, writing, {
    fuses: false,
    add(result) {
      const operator = node.op === "relu" ? "RELU" : "RELU6";
      writing.model.add(operator, [tensorOf(writing, node.input)], result);
    },
  });
}
