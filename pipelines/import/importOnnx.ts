import type { HostTensors } from "../engine/index.js";
import { inputsOf } from "../network/index.js";
import type { FeatureShape, Network, NetworkNode } from "../../algorithms/network.js";
import { Importing, Source, type OperatorReaders, type Value } from "./importing.js";
import { onConstants } from "./operators/constants.js";
import { elementwise } from "./operators/elementwise.js";
import { layers } from "./operators/layers.js";
import { pools } from "./operators/pools.js";
import { shapes } from "./operators/shapes.js";
import { nodeTitle, readModel, type SourceModel } from "./readModel.js";
import type { ReadExternal } from "./tensor.js";

const readers: OperatorReaders = { ...layers, ...pools, ...elementwise, ...shapes };

/** Operators of ONNX that an imported network may have. */
export const importedOperators: readonly string[] = [
  ...new Set([...Object.keys(readers), ...Object.keys(onConstants)]),
].sort();

export interface ImportedNetwork {
  readonly network: Network;
  readonly parameters: HostTensors;
  /** The input of the original: its name, and the order of an image's axes. */
  readonly input: { readonly name: string; readonly layout: "NCHW" | "NHWC" };
  readonly output: string;
  readonly classes: number;
  /** A softmax at the end was left out: the network gives logits, whose order is the same. */
  readonly endedWithSoftmax: boolean;
}

export interface ImportOptions {
  /** [height, width, channels] of the images, for inputs whose shape the file leaves open. */
  readonly imageShape: FeatureShape;
  readonly readExternal: ReadExternal;
}

/**
 * Reads a float ONNX network: standard operators of opsets 9 to 21, one image in, one vector of
 * class scores out.
 *
 * @throws Error naming the node and what about it is not supported
 */
export function importOnnx(bytes: Uint8Array, options: ImportOptions): ImportedNetwork {
  const source = readModel(bytes, options.readExternal);
  const importing = new Importing(source);
  const layout = layoutOf(source);
  const shape = inputShape(source, layout, options.imageShape);
  importing.values.set(
    source.input.name,
    importing.add("image", (name) => ({ op: "input", name, shape }), layout === "NHWC"),
  );
  for (const node of source.graph.node) {
    const read = readNode(new Source(importing, node));
    const values: readonly Value[] = isList(read) ? read : [read];
    node.output.forEach((name, i) => {
      const value = values[i];
      if (value !== undefined && name !== "") importing.values.set(name, value);
    });
  }
  const result = importing.values.get(source.output);
  if (result?.kind !== "feature")
    throw new Error(`the output "${source.output}" is not computed from the image`);
  const last = importing.find(result.node);
  const endedWithSoftmax = last?.op === "float" && last.operation.kind === "softmax";
  const logits = endedWithSoftmax ? (last.inputs[0] ?? "") : result.node;
  const network = { nodes: needed(importing.nodes, asFeatures(importing, logits, result.shape)) };
  const names = new Set(network.nodes.map(({ name }) => name));
  return {
    network,
    parameters: Object.fromEntries(
      Object.entries(importing.parameters).filter(([key]) =>
        names.has(key.slice(0, key.lastIndexOf("/"))),
      ),
    ),
    input: { name: source.input.name, layout },
    output: source.output,
    classes: result.shape.at(-1) ?? 1,
    endedWithSoftmax,
  };
}

const isList = (read: Value | readonly Value[]): read is readonly Value[] => Array.isArray(read);

function readNode(source: Source): Value | readonly Value[] {
  const { node } = source;
  const title = nodeTitle(node);
  if (node.domain !== "" && node.domain !== "ai.onnx")
    throw new Error(`${title} is of the domain "${node.domain}"; only standard operators are read`);
  const given = node.input.map((name) => source.importing.values.get(name));
  const constant = given.every((value) => value === undefined || value.kind === "constant");
  const reader = (constant ? onConstants[node.opType] : undefined) ?? readers[node.opType];
  if (reader === undefined)
    throw new Error(`${title} is not supported; networks may have ${importedOperators.join(", ")}`);
  try {
    return reader(source);
  } catch (error) {
    const { message } = error as Error;
    throw new Error(message.startsWith(title) ? message : `${title}: ${message}`, { cause: error });
  }
}

/** Channels last where the graph itself begins by moving them to the front. */
function layoutOf({ graph, input: { name, shape } }: SourceModel): "NCHW" | "NHWC" {
  const firsts = graph.node.filter(({ input }) => input.includes(name));
  const turned = firsts.every(
    ({ opType, attribute }) =>
      opType === "Transpose" && attribute.some(({ ints }) => ints.map(Number).join() === "0,3,1,2"),
  );
  const [, channels, , last] = shape;
  const looksLast = (last === 3 || last === 1) && channels !== 3 && channels !== 1;
  return (firsts.length > 0 && turned) || looksLast ? "NHWC" : "NCHW";
}

function inputShape(
  { input: { name, shape } }: SourceModel,
  layout: "NCHW" | "NHWC",
  image: FeatureShape,
): FeatureShape {
  const declared = layout === "NCHW" ? [shape[2], shape[3], shape[1]] : shape.slice(1);
  if (declared.some((size, axis) => size !== undefined && size !== image[axis]))
    throw new Error(
      `the input "${name}" takes images of [${declared.map((size) => String(size ?? "any")).join()}] (height, width, channels); the data set has [${image.join()}]: say how to resize and crop`,
    );
  return image;
}

/** Class scores that are an image of one pixel become features. */
function asFeatures(importing: Importing, logits: string, shape: FeatureShape): string {
  if (shape.length === 1) return logits;
  if (shape[0] !== 1 || shape[1] !== 1)
    throw new Error(`the output must be one score a class for each image, not [${shape.join()}]`);
  return importing.add("scores", (name) => ({
    ...{ op: "float", name, inputs: [logits] },
    operation: { kind: "flatten" },
  })).node;
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
