// ONNX models put together message by message, as other frameworks' exporters write them.
import { create, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
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

type Attribute = number | string | readonly number[] | { readonly float: number } | TensorProto;

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

export function modelByHand({ opset, input, nodes, constants, output = "y" }: HandModel) {
  const value = (name: string, shape?: readonly (number | string)[]) =>
    create(ValueInfoProtoSchema, {
      name,
      type: create(TypeProtoSchema, {
        value: {
          case: "tensorType",
          value: create(TypeProto_TensorSchema, {
            elemType: TensorProto_DataType.FLOAT,
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
      irVersion: 7n,
      opsetImport: [{ domain: "", version: BigInt(opset) }],
      graph: create(GraphProtoSchema, {
        name: "by hand",
        node: nodes.map(({ op, inputs, outputs, attributes = {}, domain = "" }) =>
          create(NodeProtoSchema, {
            opType: op,
            domain,
            input: [...inputs],
            output: [...outputs],
            attribute: Object.entries(attributes).map(([name, entry]) => attribute(name, entry)),
          }),
        ),
        initializer: [...constants],
        input: [value("x", input)],
        output: [value(output)],
      }),
    }),
  );
}

function attribute(name: string, value: Attribute): AttributeProto {
  if (typeof value === "number")
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  if (typeof value === "string")
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRING,
      s: new TextEncoder().encode(value),
    });
  if ("$typeName" in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: value });
  if ("float" in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, {
    name,
    type: AttributeType.INTS,
    ints: value.map(BigInt),
  });
}
