import { create } from "@bufbuild/protobuf";
import {
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  type NodeProto,
  type TensorProto,
} from "onnx-buf";
import { attributeProto, type Attributes } from "../../onnx/index.js";
import type { ElementType } from "./schema.js";
import type { LiteGraph } from "./readTflite.js";

/** Types whose values are read; those of whole numbers are shapes, axes and the like. */
const TYPES: Partial<Record<ElementType, DataType>> = {
  ...{ float32: DataType.FLOAT, float16: DataType.FLOAT16, bfloat16: DataType.BFLOAT16 },
  ...{
    float64: DataType.DOUBLE,
    int32: DataType.INT32,
    int64: DataType.INT64,
    bool: DataType.BOOL,
  },
};

interface NewNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly attributes: Attributes;
  readonly outputs: readonly string[];
  readonly name: string;
}

/** The graph of ONNX that a TensorFlow Lite graph becomes. */
export class Translation {
  readonly nodes: NodeProto[] = [];
  readonly constants: TensorProto[] = [];
  readonly #graph: LiteGraph;
  readonly #names = new Map<number, string>();
  readonly #taken = new Map<string, number>();

  constructor(graph: LiteGraph) {
    this.#graph = graph;
  }

  /** A tensor's name; constants join the graph when they are asked for. */
  nameOf(index: number): string {
    const known = this.#names.get(index);
    if (known !== undefined) return known;
    const tensor = this.#graph.tensors[index];
    if (tensor === undefined) throw new RangeError(`there is no tensor ${String(index)}`);
    // Of a fused operator's names, joined by semicolons, the first is that of its result.
    const name = this.freeName(tensor.name.split(";")[0] ?? "");
    this.#names.set(index, name);
    if (tensor.bytes.length === 0) return name;
    const dataType = TYPES[tensor.type];
    if (dataType === undefined)
      throw new Error(
        `constant "${tensor.name}" has the type ${tensor.type}; accepted are ${Object.keys(TYPES).join(", ")}`,
      );
    const dims = tensor.shape.map(BigInt);
    this.constants.push(create(TensorProtoSchema, { name, dims, dataType, rawData: tensor.bytes }));
    return name;
  }

  freeName(wanted: string): string {
    const count = this.#taken.get(wanted) ?? 0;
    this.#taken.set(wanted, count + 1);
    return count === 0 && wanted !== "" ? wanted : this.freeName(`${wanted}#${String(count + 1)}`);
  }

  integers(wanted: string, values: readonly number[]): string {
    const name = this.freeName(wanted);
    const dims = [BigInt(values.length)];
    const int64Data = values.map((value) => BigInt(Math.trunc(value)));
    this.constants.push(
      create(TensorProtoSchema, { name, dims, dataType: DataType.INT64, int64Data }),
    );
    return name;
  }

  scalar(wanted: string, value: number): string {
    const name = this.freeName(wanted);
    this.constants.push(
      create(TensorProtoSchema, { name, dims: [], dataType: DataType.FLOAT, floatData: [value] }),
    );
    return name;
  }

  node({ operator, inputs, attributes, outputs, name }: NewNode): void {
    this.nodes.push(
      create(NodeProtoSchema, {
        ...{ opType: operator, name, input: [...inputs], output: [...outputs] },
        attribute: Object.entries(attributes).map(([key, value]) => attributeProto(key, value)),
      }),
    );
  }
}
