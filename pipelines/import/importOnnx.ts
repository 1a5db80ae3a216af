import type { NodeProto } from "onnx-buf";
import type { HostTensors } from "../engine/index.js";
import { inputsOf } from "../network/index.js";
import type { FeatureShape, Network, NetworkNode } from "../../algorithms/network.js";
import { CHANNELS_FIRST, CHANNELS_LAST, dimensionsOf, type Feature, type View } from "./feature.js";
import { Importing, Source, type OperatorReaders, type Value } from "./importing.js";
import { onConstants } from "./operators/constants.js";
import { elementwise } from "./operators/elementwise.js";
import { layers } from "./operators/layers.js";
import { normalizations } from "./operators/normalizations.js";
import { parts } from "./operators/parts.js";
import { pools } from "./operators/pools.js";
import { products } from "./operators/products.js";
import { resizes } from "./operators/resize.js";
import { shapes } from "./operators/shapes.js";
import { nodeTitle, readModel, type SourceModel } from "./readModel.js";
import type { ReadExternal } from "./tensor.js";

const readers: OperatorReaders = {
  ...layers,
  ...products,
  ...normalizations,
  ...pools,
  ...elementwise,
  ...shapes,
  ...parts,
  ...resizes,
};

/** Operators of ONNX that an imported network may have. */
export const importedOperators: readonly string[] = [
  ...new Set([...Object.keys(readers), ...Object.keys(onConstants)]),
].sort();

export interface ImportedNetwork {
  readonly network: Network;
  readonly parameters: HostTensors;
  readonly input: ImportedInput;
  readonly output: string;
  readonly classes: number;
  /** What ended the original and was left out: the network gives logits, whose order is the same. */
  readonly ending?: Ending;
  /** What a user should know: types that were converted. */
  readonly notes: readonly string[];
  /** The original rounds values to 16 bits on their way, which the network does not. */
  readonly halfPrecision: boolean;
}
export type Ending = "softmax" | "logSoftmax";

/** The input of the original. */
export interface ImportedInput {
  readonly name: string;
  /** Order of an image's axes; features and rows lie as the data does, like channels last. */
  readonly layout: "NCHW" | "NHWC";
  /** Behind the batch. */
  readonly shape: readonly number[];
  /** Images at once, where the file fixes them. */
  readonly batch?: number;
  readonly type: SourceModel["input"]["type"];
  /** Where these are whole numbers: how many every table has that they name rows of. */
  readonly tokens?: number;
}

export interface ImportOptions {
  /** [height, width, channels] of the images, for inputs whose shape the file leaves open. */
  readonly imageShape: FeatureShape;
  readonly readExternal: ReadExternal;
  /** Which output has the class scores, where there are several. */
  readonly output?: string;
}

/**
 * Reads a float ONNX network: standard operators of opsets 7 to 24, one image (or row, or vector of
 * features) in, one vector of class scores out.
 *
 * @throws Error naming the node and what about it is not supported
 */
export function importOnnx(bytes: Uint8Array, options: ImportOptions): ImportedNetwork {
  return importModel(readModel(bytes, options.readExternal, options.output), options.imageShape);
}

/** @param imageShape [height, width, channels], for inputs whose shape the file leaves open */
export function importModel(source: SourceModel, imageShape: FeatureShape): ImportedNetwork {
  const importing = new Importing(source);
  const input = readInput(importing, imageShape);
  for (const node of neededNodes(source)) {
    const read = readNode(new Source(importing, node));
    const values: readonly Value[] = isList(read) ? read : [read];
    node.output.forEach((name, i) => {
      const value = values[i];
      if (value !== undefined && name !== "") importing.define(name, value, node.input);
    });
  }
  const result = importing.values.get(source.output);
  if (result?.kind !== "feature")
    throw new Error(`the output "${source.output}" is not computed from the image`);
  const last = importing.find(result.node);
  const kind = last?.op === "float" ? last.operation.kind : undefined;
  const ending = kind === "softmax" || kind === "logSoftmax" ? kind : undefined;
  const logits: Feature =
    last?.op === "float" && ending !== undefined
      ? { ...result, node: last.inputs[0] ?? "" }
      : result;
  const scores = asFeatures(importing, logits);
  const network = { nodes: needed(importing.nodes, scores.node) };
  const names = new Set(network.nodes.map(({ name }) => name));
  const parameters = Object.fromEntries(
    Object.entries(importing.parameters).filter(([key]) =>
      names.has(key.slice(0, key.lastIndexOf("/"))),
    ),
  );
  checkNumbers(parameters);
  return {
    ...{ network, parameters, input: { ...input, ...tokensOf(input, network) } },
    output: source.output,
    classes: scores.shape.at(-1) ?? 1,
    ...(ending && { ending }),
    notes: source.notes,
    halfPrecision: source.halfPrecision,
  };
}

/** @throws Error where whole numbers are no tokens */
function tokensOf(
  { name, type }: ImportedInput,
  { nodes }: Network,
): Pick<ImportedInput, "tokens"> {
  if (!type.startsWith("int")) return {};
  const rows = nodes.flatMap((node) =>
    node.op === "float" && node.operation.kind === "embedding" ? [node.operation.rows] : [],
  );
  if (rows.length === 0)
    throw new Error(`the input "${name}" of ${type} names rows of no table (Gather)`);
  return { tokens: Math.min(...rows) };
}

/** Nodes that the output is computed from: heads for training alone need not be understood. */
function neededNodes({ graph, output }: SourceModel): NodeProto[] {
  const wanted = new Set([output]);
  return graph.node
    .toReversed()
    .filter((node) => {
      const reads = node.output.some((name) => wanted.has(name));
      if (reads) node.input.forEach((name) => wanted.add(name));
      return reads;
    })
    .toReversed();
}

/** @throws Error naming the parameter that no training or quantizer could work with */
function checkNumbers(parameters: HostTensors): void {
  for (const [name, { data }] of Object.entries(parameters)) {
    const at = data.findIndex((value) => !Number.isFinite(value));
    if (at >= 0)
      throw new Error(
        `the parameter "${name}" has the value ${String(data[at])} at place ${String(at)}: the network cannot be quantized; look at the training that it comes from`,
      );
  }
}

/** Declares the image, and how the original's input lies in it. */
function readInput(importing: Importing, image: FeatureShape): ImportedInput {
  const { input } = importing.source;
  const { name, shape: declared } = input;
  const layout = layoutOf(importing.source);
  const [height = 1, width = 1, channels = 1] = image;
  const shape =
    declared.length === 3
      ? layout === "NCHW"
        ? [channels, height, width]
        : [...image]
      : declared.length === 1
        ? [height * width * channels]
        : channels === 1
          ? [height, width]
          : [height * width, channels];
  if (declared.some((size, axis) => size !== undefined && size !== shape[axis]))
    throw new Error(
      declared.length === 3
        ? `the input "${name}" takes images of [${inOrder(declared, layout)}] (height, width, channels); the data set has [${image.join()}]: say how to resize and crop`
        : `the input "${name}" takes [${declared.map((size) => String(size ?? "any")).join()}] for each sample; the data set has [${image.join()}]`,
    );
  const given = importing.add("image", (own) => ({ op: "input", name: own, shape: image }));
  const view: View =
    declared.length === 3
      ? layout === "NCHW"
        ? CHANNELS_FIRST
        : CHANNELS_LAST
      : { axes: channels === 1 && declared.length === 2 ? [0, 1] : [1, 2] };
  const last: Feature = { ...given, ...CHANNELS_LAST };
  const inRow = shape.length === 2 && channels > 1;
  const value: Feature =
    shape.length === 1 || inRow
      ? importing.rearranged("features", last, {
          order: [0, 1, 2],
          shape: inRow ? [1, ...shape] : [1, 1, ...shape],
          view: inRow ? view : { axes: [2] },
        })
      : { ...given, ...view };
  importing.values.set(name, value);
  const { batch, type } = input;
  return { name, layout, shape, type, ...(batch !== undefined && { batch }) };
}

function inOrder(declared: readonly (number | undefined)[], layout: "NCHW" | "NHWC"): string {
  const [a, b, c] = declared;
  return (layout === "NCHW" ? [b, c, a] : [a, b, c]).map((size) => String(size ?? "any")).join();
}

const isList = (read: Value | readonly Value[]): read is readonly Value[] => Array.isArray(read);

function readNode(source: Source): Value | readonly Value[] {
  const { node } = source;
  const title = nodeTitle(node);
  if (node.domain !== "" && node.domain !== "ai.onnx")
    throw new Error(
      `${title} is of the domain "${node.domain}"; only standard operators are read: export the network before it is optimized for a runtime`,
    );
  const given = node.input.map((name) => source.importing.values.get(name));
  const constant = given.every((value) => value === undefined || value.kind === "constant");
  const reader = (constant ? onConstants[node.opType] : undefined) ?? readers[node.opType];
  if (reader === undefined)
    throw new Error(
      `${title} is not supported. Export the network up to it (--output names another output) or simplify the file (onnxsim); networks may have ${importedOperators.join(", ")}`,
    );
  try {
    return reader(source);
  } catch (error) {
    const { message } = error as Error;
    throw new Error(message.startsWith(title) ? message : `${title}: ${message}`, { cause: error });
  }
}

/** Channels last where the graph itself begins by moving them to the front. */
function layoutOf({ graph, input }: SourceModel): "NCHW" | "NHWC" {
  const { name, shape, layout } = input;
  if (shape.length !== 3 || layout !== undefined) return "NHWC";
  const firsts = graph.node.filter(({ input }) => input.includes(name));
  const turned = firsts.every(
    ({ opType, attribute }) =>
      opType === "Transpose" && attribute.some(({ ints }) => ints.map(Number).join() === "0,3,1,2"),
  );
  const [channels, , last] = shape;
  const looksLast = (last === 3 || last === 1) && channels !== 3 && channels !== 1;
  return (firsts.length > 0 && turned) || looksLast ? "NHWC" : "NCHW";
}

/** Class scores that are an image of one pixel become features. */
function asFeatures(importing: Importing, logits: Feature): Feature {
  if (logits.shape.length === 1) return logits;
  const wide = dimensionsOf(logits).filter((size) => size !== 1);
  if (wide.length > 1 || logits.folded !== undefined)
    throw new Error(
      `the output must be one score a class for each image, not [${dimensionsOf(logits).join()}]; name another output with --output`,
    );
  return importing.add("scores", (name) => ({
    ...{ op: "float", name, inputs: [logits.node] },
    operation: { kind: "flatten" },
  }));
}

/** The nodes that the result is computed from, in their order. */
function needed(nodes: readonly NetworkNode[], result: string): NetworkNode[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const wanted = new Set<string>();
  const stack = [result];
  for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
    const node = byName.get(name);
    if (node === undefined || wanted.has(name)) continue;
    wanted.add(name);
    stack.push(...inputsOf(node));
  }
  return nodes.filter(({ name }) => wanted.has(name));
}
