import { fromBinary } from "@bufbuild/protobuf";
import {
  ModelProtoSchema,
  TensorProto_DataType as DataType,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from "onnx-buf";
import { inlined } from "./inlined.js";
import { sizeOf } from "../engine/index.js";
import { MAX_ELEMENTS, readTensor, type Constant, type ReadExternal } from "./tensor.js";

/** Versions of the standard operators that are understood. */
export const OPSETS = { min: 7, max: 24 } as const;

export interface SourceModel {
  readonly graph: GraphProto;
  readonly opset: number;
  readonly constants: ReadonlyMap<string, Constant>;
  readonly input: SourceInput;
  readonly output: string;
  readonly readExternal: ReadExternal;
  /** What a user should know: types that were converted. */
  readonly notes: readonly string[];
  /** Values are rounded to 16 bits on their way. */
  readonly halfPrecision: boolean;
}

/** The one input of a network. */
export interface SourceInput {
  readonly name: string;
  /** Behind the batch; what is not a number is left open. */
  readonly shape: readonly (number | undefined)[];
  /** Where the file fixes it. */
  readonly batch?: number;
  /** Whole numbers are tokens. */
  readonly type: "float32" | "float16" | "int64" | "int32";
  /** Where the form of the file says it. */
  readonly layout?: "NHWC";
}

/**
 * Parses an ONNX file and checks it.
 *
 * @param wanted which output; needed where there are several
 * @throws Error saying what is wrong with the file and what is accepted
 */
export function readModel(
  bytes: Uint8Array,
  readExternal: ReadExternal,
  wanted?: string,
): SourceModel {
  return checkModel(parse(bytes), readExternal, wanted);
}

/**
 * Checks what has to hold for any network, wherever it comes from.
 *
 * @throws Error saying what is wrong and what is accepted
 */
export function checkModel(
  model: ModelProto,
  readExternal: ReadExternal,
  wanted?: string,
): SourceModel {
  if (model.graph === undefined || model.graph.node.length === 0)
    throw new Error("the file holds no graph; it may be truncated");
  const graph = inlined(model.graph, model.functions);
  const opset = opsetOf(model);
  const constants = new Map<string, Constant>();
  checkSizes(graph);
  for (const tensor of graph.initializer) {
    if (constants.has(tensor.name)) throw new Error(`there are two constants "${tensor.name}"`);
    constants.set(tensor.name, readTensor(tensor, readExternal));
  }
  if (graph.sparseInitializer.length > 0) throw new Error("sparse constants are not supported");
  const input = inputOf(graph, constants);
  const output = outputOf(graph, wanted);
  const known = new Set([input.name, ...constants.keys()]);
  const sorted = { ...graph, node: inOrder(graph.node, known) };
  return {
    ...{ graph: sorted, opset, constants, input, output, readExternal },
    notes: conversions(graph),
    halfPrecision: input.type === "float16" || sorted.node.some(roundsToHalf),
  };
}

/** Constants of types that are computed with as float32. */
function conversions({ initializer }: GraphProto): string[] {
  return (["FLOAT16", "BFLOAT16", "DOUBLE"] as const).flatMap((type) => {
    const count = initializer.filter(({ dataType }) => dataType === (DataType[type] as number));
    if (count.length === 0) return [];
    return [`${String(count.length)} ${type.toLowerCase()} constants are computed with as float32`];
  });
}

function roundsToHalf({ opType, attribute }: NodeProto): boolean {
  const to = Number(attribute.find(({ name }) => name === "to")?.i ?? 0n);
  return opType === "Cast" && [DataType.FLOAT16, DataType.BFLOAT16].map(Number).includes(to);
}

/** Several constants may refer to one file, and that may have holes: none is read before all fit. */
function checkSizes({ initializer }: GraphProto): void {
  let elements = 0;
  for (const { name, dims } of initializer) {
    const size = sizeOf(dims.map(Number));
    if (size >= 0 && size <= MAX_ELEMENTS) elements += size; // others are refused by their shape
    if (elements > MAX_ELEMENTS)
      throw new Error(
        `its constants up to "${name}" have more than the ${String(MAX_ELEMENTS)} values accepted`,
      );
  }
}

function inputOf(graph: GraphProto, constants: ReadonlyMap<string, Constant>): SourceInput {
  const inputs = graph.input.filter(({ name }) => !constants.has(name));
  const [input] = inputs;
  if (input === undefined || inputs.length > 1)
    throw new Error(
      `a network needs one input, the image; this one has ${String(inputs.length)}: ${inputs.map(({ name }) => name).join(", ")}`,
    );
  const type = input.type?.value;
  const types = new Map<number, SourceInput["type"]>([
    [DataType.FLOAT, "float32"],
    [DataType.FLOAT16, "float16"],
    [DataType.INT64, "int64"],
    [DataType.INT32, "int32"],
  ]);
  const element = type?.case === "tensorType" ? types.get(type.value.elemType) : undefined;
  if (type?.case !== "tensorType" || element === undefined)
    throw new Error(
      `the input "${input.name}" must be a tensor of float32 or float16, or of int64 or int32 for tokens`,
    );
  const [batch, ...shape] = (type.value.shape?.dim ?? []).map(({ value }) =>
    value.case === "dimValue" && value.value > 0n ? Number(value.value) : undefined,
  );
  if (shape.length < 1 || shape.length > 3)
    throw new Error(
      `the input "${input.name}" must be a batch of images, rows or features with 4, 3 or 2 axes; it has ${String(type.value.shape?.dim.length ?? 0)}`,
    );
  if (element.startsWith("int") && shape.length !== 1)
    throw new Error(
      `the input "${input.name}" of ${element} must be tokens, [batch, length]; it has ${String(shape.length + 1)} axes`,
    );
  return { name: input.name, shape, type: element, ...(batch !== undefined && { batch }) };
}

function outputOf(graph: GraphProto, wanted?: string): string {
  const names = graph.output.map(({ name }) => name);
  const [output, ...others] = names;
  if (wanted !== undefined && names.includes(wanted)) return wanted;
  if (wanted !== undefined)
    throw new Error(`the network has no output "${wanted}"; it has ${names.join(", ")}`);
  if (output === undefined || others.length > 0)
    throw new Error(
      `a classifier needs one output; this network has ${String(names.length)}: ${names.join(", ")}. Choose the class scores with --output`,
    );
  return output;
}

function parse(bytes: Uint8Array): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes);
  } catch (error) {
    throw new Error(
      `this is no ONNX file, or it is truncated or damaged (${(error as Error).message})`,
      { cause: error },
    );
  }
}

function opsetOf({ opsetImport }: ModelProto): number {
  const standard = opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx");
  const opset = Number(standard?.version ?? 0n);
  if (opset < OPSETS.min || opset > OPSETS.max)
    throw new Error(
      `the file uses opset ${String(opset)}; accepted are ${String(OPSETS.min)} to ${String(OPSETS.max)}`,
    );
  return opset;
}

/**
 * Nodes behind those that they read, as ONNX wants them and not every tool writes them.
 *
 * @param known what is there before any node
 * @throws Error naming a node that reads what nothing computes, or that a cycle keeps from being computed
 */
function inOrder(nodes: readonly NodeProto[], known: Set<string>): NodeProto[] {
  const makers = new Map<string, NodeProto>();
  for (const node of nodes)
    for (const output of node.output) {
      if (output !== "" && (known.has(output) || makers.has(output)))
        throw new Error(`"${output}" is computed twice`);
      makers.set(output, node);
    }
  const sorted: NodeProto[] = [];
  const state = new Map<NodeProto, "open" | "done">();
  for (const first of nodes) {
    // Depth first without recursion: networks are deep.
    const stack = [first];
    for (let node = stack.at(-1); node !== undefined; node = stack.at(-1)) {
      const before = missingMakers(node);
      if (state.get(node) !== "done" && before.length > 0) {
        state.set(node, "open");
        stack.push(...before);
        continue;
      }
      stack.pop();
      if (state.get(node) !== "done") sorted.push(node);
      state.set(node, "done");
    }
  }
  return sorted;

  function missingMakers(node: NodeProto): NodeProto[] {
    return node.input.flatMap((input) => {
      if (input === "" || known.has(input)) return [];
      const maker = makers.get(input);
      if (maker === undefined)
        throw new Error(`${nodeTitle(node)} reads "${input}", which nothing computes`);
      if (state.get(maker) === "open" || maker === node)
        throw new Error(
          `${nodeTitle(node)} reads "${input}" before it is computed: the graph has a cycle`,
        );
      return state.get(maker) === "done" ? [] : [maker];
    });
  }
}

/** An operator and its name, for messages. */
export const nodeTitle = ({ opType, name, output }: NodeProto): string =>
  `${opType} "${name === "" ? (output[0] ?? "") : name}"`;
