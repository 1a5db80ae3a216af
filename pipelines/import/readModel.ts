import { fromBinary } from "@bufbuild/protobuf";
import {
  ModelProtoSchema,
  TensorProto_DataType as DataType,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from "onnx-buf";
import { readTensor, type Constant, type ReadExternal } from "./tensor.js";

/** Versions of the standard operators that are understood. */
export const OPSETS = { min: 9, max: 21 } as const;

export interface SourceModel {
  readonly graph: GraphProto;
  readonly opset: number;
  readonly constants: ReadonlyMap<string, Constant>;
  /** Name and shape of the one input; what is not a number is left open. */
  readonly input: { readonly name: string; readonly shape: readonly (number | undefined)[] };
  readonly output: string;
  readonly readExternal: ReadExternal;
}

/**
 * Parses an ONNX file and checks what has to hold for any network.
 *
 * @throws Error saying what is wrong with the file and what is accepted
 */
export function readModel(bytes: Uint8Array, readExternal: ReadExternal): SourceModel {
  const model = parse(bytes);
  const { graph } = model;
  if (graph === undefined || graph.node.length === 0)
    throw new Error("the ONNX file holds no graph; it may be truncated");
  const opset = opsetOf(model);
  const constants = new Map<string, Constant>();
  for (const tensor of graph.initializer) {
    if (constants.has(tensor.name)) throw new Error(`there are two constants "${tensor.name}"`);
    constants.set(tensor.name, readTensor(tensor, readExternal));
  }
  if (graph.sparseInitializer.length > 0) throw new Error("sparse constants are not supported");
  const inputs = graph.input.filter(({ name }) => !constants.has(name));
  const [input] = inputs;
  if (input === undefined || inputs.length > 1)
    throw new Error(
      `a network needs one input, the image; this one has ${String(inputs.length)}: ${inputs.map(({ name }) => name).join(", ")}`,
    );
  const type = input.type?.value;
  if (type?.case !== "tensorType" || type.value.elemType !== (DataType.FLOAT as number))
    throw new Error(`the input "${input.name}" must be a float32 tensor`);
  const shape = (type.value.shape?.dim ?? []).map(({ value }) =>
    value.case === "dimValue" && value.value > 0n ? Number(value.value) : undefined,
  );
  if (shape.length !== 4)
    throw new Error(
      `the input "${input.name}" must be a batch of images with 4 axes; it has ${String(shape.length)}`,
    );
  const [output, ...others] = graph.output;
  if (output === undefined || others.length > 0)
    throw new Error(
      `a classifier needs one output; this network has ${String(graph.output.length)}: ${graph.output.map(({ name }) => name).join(", ")}`,
    );
  checkOrder(graph, new Set([input.name, ...constants.keys()]));
  return {
    graph,
    opset,
    constants,
    input: { name: input.name, shape },
    output: output.name,
    readExternal,
  };
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

function opsetOf({ opsetImport, functions }: ModelProto): number {
  if (functions.length > 0)
    throw new Error("model-local functions are not supported; export the network inlined");
  const standard = opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx");
  const opset = Number(standard?.version ?? 0n);
  if (opset < OPSETS.min || opset > OPSETS.max)
    throw new Error(
      `the file uses opset ${String(opset)}; accepted are ${String(OPSETS.min)} to ${String(OPSETS.max)}`,
    );
  return opset;
}

/** ONNX wants each node behind those it reads, which also rules out cycles. */
function checkOrder(graph: GraphProto, known: Set<string>): void {
  const made = new Set(graph.node.flatMap(({ output }) => output));
  for (const node of graph.node) {
    for (const input of node.input) {
      if (input === "" || known.has(input)) continue;
      throw new Error(
        made.has(input)
          ? `${nodeTitle(node)} reads "${input}" before it is computed: the graph has a cycle or is out of order`
          : `${nodeTitle(node)} reads "${input}", which nothing computes`,
      );
    }
    for (const output of node.output) {
      if (output !== "" && known.has(output)) throw new Error(`"${output}" is computed twice`);
      known.add(output);
    }
  }
}

/** An operator and its name, for messages. */
export const nodeTitle = ({ opType, name, output }: NodeProto): string =>
  `${opType} "${name === "" ? (output[0] ?? "") : name}"`;
