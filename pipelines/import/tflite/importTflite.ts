import { create } from "@bufbuild/protobuf";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProto_DataType as DataType,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type ModelProto,
  type ValueInfoProto,
} from "onnx-buf";
import { importModel, type ImportedNetwork, type ImportOptions } from "../importOnnx.js";
import { checkModel } from "../readModel.js";
import { Operation, titleOf } from "./operation.js";
import { elementwise } from "./operators/elementwise.js";
import { layers } from "./operators/layers.js";
import { shapes } from "./operators/shapes.js";
import { windows } from "./operators/windows.js";
import { readTflite, type LiteGraph, type LiteOperator } from "./readTflite.js";
import { Translation } from "./translation.js";

const translators: Readonly<Record<string, (operation: Operation) => void>> = {
  ...layers,
  ...windows,
  ...elementwise,
  ...shapes,
};

/** Operators of TensorFlow Lite that an imported network may have. */
export const liteOperators: readonly string[] = Object.keys(translators).sort();

/** What the operators that are written here mean. */
const OPSET = 21n;

/**
 * Reads a float TensorFlow Lite network: one image (or row, or vector of features) in, one vector of class scores
 * out. It is written in operators of ONNX and then read like those.
 *
 * @throws Error naming the operator or tensor and what about it is not supported
 */
export function importTflite(
  bytes: Uint8Array,
  { imageShape, output }: Omit<ImportOptions, "readExternal">,
): ImportedNetwork {
  const graph = readTflite(bytes);
  const result = chooseOutput(graph, output);
  const operators = neededOperators(graph, result);
  checkFloat(graph, operators);
  const { model, name } = translated(graph, operators, result);
  const source = checkModel(model, noFiles, name);
  const input = { ...source.input, layout: "NHWC" } as const;
  return { ...importModel({ ...source, input }, imageShape), output: runtimeName(graph, result) };
}

const noFiles = (): never => {
  throw new Error("a TensorFlow Lite file holds all of its weights");
};

/** What LiteRT calls an output: as the signature does, where there is one. */
const runtimeName = ({ outputNames, tensors }: LiteGraph, index: number): string =>
  outputNames.get(index) ?? tensors[index]?.name ?? "";

/** @param wanted the name of a tensor, or what the signature calls it */
function chooseOutput(graph: LiteGraph, wanted: string | undefined): number {
  const { outputs, tensors } = graph;
  const [only, ...others] = outputs;
  const names = outputs.map((index) => runtimeName(graph, index)).join(", ");
  const found =
    wanted === undefined && others.length === 0
      ? only
      : outputs.find((index) => [tensors[index]?.name, runtimeName(graph, index)].includes(wanted));
  if (found !== undefined) return found;
  throw new Error(
    wanted === undefined
      ? `a classifier needs one output; this network has ${String(outputs.length)}: ${names}. Choose the class scores with --output`
      : `the network has no output "${wanted}"; it has ${names}`,
  );
}

/** Those that the output is computed from: heads for other purposes need not be understood. */
function neededOperators({ operators }: LiteGraph, result: number): LiteOperator[] {
  const makers = new Map<number, LiteOperator[]>();
  for (const own of operators)
    for (const index of own.outputs) {
      const some = makers.get(index);
      if (some === undefined) makers.set(index, [own]);
      else some.push(own);
    }
  const needed = new Set<LiteOperator>();
  const wanted = [result];
  for (let index = wanted.pop(); index !== undefined; index = wanted.pop())
    for (const own of makers.get(index) ?? []) {
      if (needed.has(own)) continue;
      needed.add(own);
      wanted.push(...own.inputs);
    }
  return operators.filter((own) => needed.has(own));
}

/** @throws Error naming a tensor of integers that stand for real numbers */
function checkFloat({ tensors }: LiteGraph, operators: readonly LiteOperator[]): void {
  const read = operators.flatMap(({ inputs, outputs }) => [...inputs, ...outputs]);
  for (const index of read) {
    const tensor = tensors[index];
    if (tensor?.step === undefined || !/^u?int(4|8|16|32)$/.test(tensor.type)) continue;
    throw new Error(
      `the network is quantized already: "${tensor.name}" has ${tensor.type} values in steps of ${tensor.step.toPrecision(3)}; ` +
        "give the float network that it was made from (converted without optimizations, or to float16)",
    );
  }
}

function translated(
  graph: LiteGraph,
  operators: readonly LiteOperator[],
  result: number,
): { readonly model: ModelProto; readonly name: string } {
  const to = new Translation(graph);
  const name = to.nameOf(result);
  const inputs = graph.inputs.map((index) => declared(graph, index, to.nameOf(index)));
  for (const own of operators) {
    const translate = Object.hasOwn(translators, own.name) ? translators[own.name] : undefined;
    if (translate === undefined)
      throw new Error(
        `${titleOf(own, graph)} is not supported. Convert the network up to it (--output names another output), or without what is made of it; ` +
          `networks may have ${liteOperators.join(", ")}`,
      );
    translate(new Operation(graph, own, to));
  }
  const model = create(ModelProtoSchema, {
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: "", version: OPSET })],
    graph: create(GraphProtoSchema, {
      ...{ node: to.nodes, initializer: to.constants, input: inputs },
      output: [create(ValueInfoProtoSchema, { name })],
    }),
  });
  return { model, name };
}

/** An input of the graph; what its shape leaves open is -1. */
function declared({ tensors }: LiteGraph, index: number, name: string): ValueInfoProto {
  const { shape = [], type = "float32" } = tensors[index] ?? {};
  if (type !== "float32")
    throw new Error(
      `the input "${name}" takes ${type}; float32 is needed: a network that is quantized already, or that takes bytes, is not read`,
    );
  const dim = shape.map((size) =>
    create(TensorShapeProto_DimensionSchema, { value: { case: "dimValue", value: BigInt(size) } }),
  );
  const value = create(TypeProto_TensorSchema, {
    elemType: DataType.FLOAT,
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: "tensorType", value } }),
  });
}
