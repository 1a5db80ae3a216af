// ONNX models put together message by message, as other frameworks' exporters write them.
import { create, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type TensorProto,
} from "onnx-buf";

type Attribute =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly from: string; readonly type: AttributeType }
  | TensorProto;

export interface HandNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly domain?: string;
}

export interface HandModel {
  readonly opset: number;
  readonly input: readonly (number | string)[];
  readonly nodes: readonly HandNode[];
  readonly constants: readonly TensorProto[];
  readonly output?: string;
  readonly outputs?: readonly string[];
  readonly inputType?: TensorProto_DataType;
  readonly outputType?: TensorProto_DataType;
  readonly functions?: readonly HandFunction[];
}

/** A function of the model, of the domain "own"; attributes may be `{ from: name }` of the call's. */
export interface HandFunction {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly HandNode[];
}

export const floats = (name: string, dims: readonly number[], data: readonly number[]) =>
  create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: TensorProto_DataType.FLOAT,
    floatData: [...data],
  });

export const integers = (name: string, dims: readonly number[], data: readonly number[]) =>
  create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: TensorProto_DataType.INT64,
    int64Data: data.map(BigInt),
  });

export const booleans = (
  name: string,
  dims: readonly number[],
  value: (index: number) => boolean,
) =>
  create(TensorProtoSchema, {
    ...{ name, dims: dims.map(BigInt), dataType: TensorProto_DataType.BOOL },
    int32Data: Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Number(value(i))),
  });

/** Bits of 16-bit floats as they are stored. */
export const halves = (
  name: string,
  dims: readonly number[],
  bits: readonly number[],
  dataType: TensorProto_DataType.FLOAT16 | TensorProto_DataType.BFLOAT16,
) =>
  create(TensorProtoSchema, {
    ...{ name, dataType },
    dims: dims.map(BigInt),
    rawData: new Uint8Array(Uint16Array.from(bits).buffer),
  });

export const external = (
  name: string,
  dims: readonly number[],
  entries: Readonly<Record<string, string>>,
) =>
  create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: TensorProto_DataType.FLOAT,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
  });

export function modelByHand(model: HandModel) {
  const { opset, input, nodes, constants, output = "y", outputs = [output] } = model;
  const { inputType = FLOAT, outputType = FLOAT, functions = [] } = model;
  const value = (
    name: string,
    elemType: TensorProto_DataType,
    shape?: readonly (number | string)[],
  ) =>
    create(ValueInfoProtoSchema, {
      name,
      type: create(TypeProtoSchema, {
        value: {
          case: "tensorType",
          value: create(TypeProto_TensorSchema, {
            elemType,
            ...(shape && {
              shape: create(TensorShapeProtoSchema, {
                dim: shape.map((size) =>
                  create(TensorShapeProto_DimensionSchema, {
                    value:
                      typeof size === "number"
                        ? { case: "dimValue", value: BigInt(size) }
                        : { case: "dimParam", value: size },
                  }),
                ),
              }),
            }),
          }),
        },
      }),
    });
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: opset > 20 ? 10n : 8n,
      opsetImport: [
        { domain: "", version: BigInt(opset) },
        ...(functions.length > 0 ? [{ domain: "own", version: 1n }] : []),
      ],
      functions: functions.map((own) =>
        create(FunctionProtoSchema, {
          ...{ name: own.name, domain: "own", input: [...own.inputs], output: [...own.outputs] },
          opsetImport: [
            { domain: "", version: BigInt(opset) },
            { domain: "own", version: 1n },
          ],
          attribute: own.nodes.flatMap(({ attributes = {} }) =>
            Object.values(attributes).flatMap((entry) =>
              typeof entry === "object" && "from" in entry ? [entry.from] : [],
            ),
          ),
          node: own.nodes.map(nodeOf),
        }),
      ),
      graph: create(GraphProtoSchema, {
        name: "by hand",
        node: nodes.map(nodeOf),
        initializer: [...constants],
        input: [value("x", inputType, input)],
        output: outputs.map((name) => value(name, outputType)),
      }),
    }),
  );
}

const FLOAT = TensorProto_DataType.FLOAT;

const nodeOf = ({ op, inputs, outputs, attributes = {}, domain = "" }: HandNode) =>
  create(NodeProtoSchema, {
    opType: op,
    domain,
    input: [...inputs],
    output: [...outputs],
    attribute: Object.entries(attributes).map(([name, entry]) => attribute(name, entry)),
  });

function attribute(name: string, value: Attribute): AttributeProto {
  if (typeof value === "number")
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  if (typeof value === "string")
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRING,
      s: new TextEncoder().encode(value),
    });
  if ("from" in value)
    return create(AttributeProtoSchema, { name, type: value.type, refAttrName: value.from });
  if ("$typeName" in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: value });
  if ("floats" in value)
    return create(AttributeProtoSchema, {
      ...{ name, type: AttributeType.FLOATS },
      floats: [...value.floats],
    });
  if ("float" in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, {
    name,
    type: AttributeType.INTS,
    ints: value.map(BigInt),
  });
}
