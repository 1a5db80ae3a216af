import { create, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from "onnx-buf";

/** Element types that graphs of this project use, by their ONNX names. */
export type OnnxType =
  | "float32"
  | "float64"
  | "int4"
  | "uint4"
  | "int8"
  | "uint8"
  | "int16"
  | "uint16"
  | "int32"
  | "int64"
  | "uint64"
  | "bool";

const DATA_TYPES: Record<OnnxType, DataType> = {
  float32: DataType.FLOAT,
  float64: DataType.DOUBLE,
  int4: DataType.INT4,
  uint4: DataType.UINT4,
  int8: DataType.INT8,
  uint8: DataType.UINT8,
  int16: DataType.INT16,
  uint16: DataType.UINT16,
  int32: DataType.INT32,
  int64: DataType.INT64,
  uint64: DataType.UINT64,
  bool: DataType.BOOL,
};

/** The ONNX enumeration value of an element type, as the `to` attribute of Cast wants it. */
export const dataTypeCode = (type: OnnxType): number => DATA_TYPES[type];

/** A float attribute, or a list of them; plain numbers become integer attributes. */
export interface FloatAttribute {
  readonly float: number | readonly number[];
}
export type Attributes = Readonly<
  Record<string, number | readonly number[] | string | FloatAttribute>
>;

/** Versions that every graph of this project declares; onnxruntime 1.30 runs opsets up to 26. */
const OPSET_VERSION = 21n;
const IR_VERSION = 10n;

/** Constants up to this many bytes are shared when they are equal. */
const SHARED_CONSTANT_BYTES = 65536;

/** A node before it is serialized; its one output has a name of its own. */
export interface GraphNode {
  /** "Conv", or "com.microsoft.nchwc:Conv" outside of the standard domain. */
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes: Attributes;
}

/**
 * Builds an ONNX model node by node. Values are named by strings; a node whose operator, inputs
 * and attributes equal an earlier node's is not added twice (every operator used is pure).
 */
export class OnnxGraph {
  readonly #nodes: GraphNode[] = [];
  readonly #constants: TensorProto[] = [];
  readonly #inputs: ValueInfoProto[] = [];
  readonly #outputs: ValueInfoProto[] = [];
  readonly #known = new Map<string, string>();
  readonly #metadata: [string, string][] = [];
  readonly #free: (wanted: string) => string;
  #count = 0;

  /** @param free the name for a value that is given none, told from the one that it would have */
  constructor(free: (wanted: string) => string = (wanted) => wanted) {
    this.#free = free;
  }

  get nodeCount(): number {
    return this.#nodes.length;
  }

  /** In the order in which they were added: inputs come before what uses them. */
  get nodes(): readonly GraphNode[] {
    return this.#nodes;
  }

  /** Declares a graph input and returns its name. */
  input(name: string, type: OnnxType, shape: readonly (number | string)[]): string {
    this.#inputs.push(valueInfo(name, type, shape));
    return name;
  }

  /** Declares `value` a graph output under `name`, which may be its own. */
  output(name: string, value: string, type: OnnxType, shape: readonly (number | string)[]): void {
    if (value !== name)
      this.#nodes.push({ operator: "Identity", inputs: [value], output: name, attributes: {} });
    this.#outputs.push(valueInfo(name, type, shape));
  }

  /** Adds a node with one output and returns that output's name. */
  add(
    operator: string,
    inputs: readonly string[],
    attributes: Attributes = {},
    name?: string,
  ): string {
    const key = JSON.stringify([operator, inputs, attributes]);
    const known = name === undefined ? this.#known.get(key) : undefined;
    if (known !== undefined) return known;
    const output = name ?? this.#free(`v${(this.#count++).toString()}`);
    this.#nodes.push({ operator, inputs, output, attributes });
    this.#known.set(key, output);
    return output;
  }

  /** Adds a constant of any shape; `data` holds its elements in row-major order. */
  constant(
    type: OnnxType,
    shape: readonly number[],
    data: ArrayLike<number>,
    name?: string,
  ): string {
    const bytes = elementBytes(type, data);
    const key =
      bytes.length <= SHARED_CONSTANT_BYTES && name === undefined
        ? `${type} ${shape.join()} ${Buffer.from(bytes).toString("latin1")}`
        : undefined;
    const known = key === undefined ? undefined : this.#known.get(key);
    if (known !== undefined) return known;
    const constantName = name ?? this.#free(`c${(this.#count++).toString()}`);
    this.#constants.push(
      create(TensorProtoSchema, {
        name: constantName,
        dataType: DATA_TYPES[type],
        dims: shape.map(BigInt),
        rawData: bytes,
      }),
    );
    if (key !== undefined) this.#known.set(key, constantName);
    return constantName;
  }

  /** A float32 constant of shape []. */
  scalar(value: number): string {
    return this.constant("float32", [], [value]);
  }

  /** A vector of int64, as shape and axis inputs are. */
  integers(values: readonly number[]): string {
    return this.constant("int64", [values.length], values);
  }

  /** Attaches a key and value that readers of the model file can look up. */
  describe(key: string, value: string): void {
    this.#metadata.push([key, value]);
  }

  /**
   * The serialized ModelProto.
   *
   * @param nodes another list of nodes than the added ones, as a scheduler leaves them
   */
  toBytes(name: string, nodes: readonly GraphNode[] = this.#nodes): Uint8Array {
    const read = new Set(nodes.flatMap(({ inputs }) => inputs));
    const domains = new Set(nodes.map(({ operator }) => splitDomain(operator)[0]));
    domains.delete("");
    const model = create(ModelProtoSchema, {
      irVersion: IR_VERSION,
      producerName: "quantbench",
      opsetImport: [
        { domain: "", version: OPSET_VERSION },
        ...[...domains].sort().map((domain) => ({ domain, version: 1n })),
      ],
      metadataProps: this.#metadata.map(([key, value]) =>
        create(StringStringEntryProtoSchema, { key, value }),
      ),
      graph: {
        name,
        node: nodes.map(nodeProto),
        initializer: this.#constants.filter(({ name }) => read.has(name)),
        input: this.#inputs,
        output: this.#outputs,
      },
    });
    return toBinary(ModelProtoSchema, model);
  }
}

/** "com.microsoft:FusedMatMul" names an operator outside the standard domain. */
function splitDomain(operator: string): [domain: string, type: string] {
  const colon = operator.indexOf(":");
  return colon < 0 ? ["", operator] : [operator.slice(0, colon), operator.slice(colon + 1)];
}

function nodeProto({ operator, inputs, output, attributes }: GraphNode): NodeProto {
  const [domain, opType] = splitDomain(operator);
  return create(NodeProtoSchema, {
    opType,
    domain,
    name: `${opType}/${output}`,
    input: [...inputs],
    output: [output],
    attribute: Object.entries(attributes).map(([name, value]) => attributeProto(name, value)),
  });
}

/** An attribute of a node as it is serialized. */
export function attributeProto(name: string, value: Attributes[string]): AttributeProto {
  if (typeof value === "number") {
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  }
  if (typeof value === "string") {
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRING,
      s: new TextEncoder().encode(value),
    });
  }
  if ("float" in value) {
    return typeof value.float === "number"
      ? create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float })
      : create(AttributeProtoSchema, {
          name,
          type: AttributeType.FLOATS,
          floats: [...value.float],
        });
  }
  return create(AttributeProtoSchema, {
    name,
    type: AttributeType.INTS,
    ints: value.map(BigInt),
  });
}

function valueInfo(
  name: string,
  type: OnnxType,
  shape: readonly (number | string)[],
): ValueInfoProto {
  const dim = shape.map((size) =>
    create(TensorShapeProto_DimensionSchema, {
      value:
        typeof size === "number"
          ? { case: "dimValue", value: BigInt(size) }
          : { case: "dimParam", value: size },
    }),
  );
  const tensorType = create(TypeProto_TensorSchema, {
    elemType: DATA_TYPES[type],
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: "tensorType", value: tensorType } }),
  });
}

function elementBytes(type: OnnxType, data: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const elements = (() => {
    switch (type) {
      case "float32":
        return Float32Array.from(data);
      case "float64":
        return Float64Array.from(data);
      case "int4":
      case "uint4":
        // Two to a byte, the first in the low half.
        return Uint8Array.from(
          { length: Math.ceil(data.length / 2) },
          (_, i) => ((data[2 * i] ?? 0) & 15) | (((data[2 * i + 1] ?? 0) & 15) << 4),
        );
      case "int8":
        return Int8Array.from(data);
      case "uint8":
      case "bool":
        return Uint8Array.from(data);
      case "int16":
        return Int16Array.from(data);
      case "uint16":
        return Uint16Array.from(data);
      case "int32":
        return Int32Array.from(data);
      case "uint64":
        return BigUint64Array.from(Array.from(data, BigInt));
      case "int64":
        return BigInt64Array.from(Array.from(data, BigInt));
      default:
        return type satisfies never;
    }
  })();
  return new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
}
