import { TensorProto_DataType as DataType, type TensorProto } from "onnx-buf";

/** A constant of a graph, in numbers. */
export interface Constant {
  /** ONNX's name of the type, in small letters; "other" for those that quantizers do not use. */
  readonly type: string;
  readonly values: readonly number[];
}

const NAMES: Readonly<Partial<Record<number, string>>> = {
  [DataType.FLOAT]: "float32",
  [DataType.INT4]: "int4",
  [DataType.UINT4]: "uint4",
  [DataType.INT8]: "int8",
  [DataType.UINT8]: "uint8",
  [DataType.INT16]: "int16",
  [DataType.UINT16]: "uint16",
  [DataType.INT32]: "int32",
};

/** Constants of a graph that quantizers are made of, by name. */
export const constantsOf = (tensors: readonly TensorProto[]): ReadonlyMap<string, Constant> =>
  new Map(
    tensors.map((tensor) => {
      const type = NAMES[tensor.dataType] ?? "other";
      return [tensor.name, { type, values: valuesOf(type, tensor.rawData, tensor.dims) }];
    }),
  );

function valuesOf(type: string, bytes: Uint8Array, dims: readonly bigint[]): number[] {
  const copy = bytes.slice().buffer;
  switch (type) {
    case "float32":
      return [...new Float32Array(copy)];
    case "int8":
      return [...new Int8Array(copy)];
    case "uint8":
      return [...new Uint8Array(copy)];
    case "int16":
      return [...new Int16Array(copy)];
    case "uint16":
      return [...new Uint16Array(copy)];
    case "int32":
      return [...new Int32Array(copy)];
    case "int4":
    case "uint4": {
      // Two to a byte, the first in the low half.
      const halves = [...bytes].flatMap((byte) => [byte & 15, byte >> 4]);
      const count = dims.reduce((a, b) => a * Number(b), 1);
      return halves.slice(0, count).map((half) => (type === "int4" && half > 7 ? half - 16 : half));
    }
    default:
      return [];
  }
}
