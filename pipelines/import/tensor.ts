import {
  TensorProto_DataLocation,
  TensorProto_DataType as DataType,
  type TensorProto,
} from "onnx-buf";
import { z } from "zod";
import { sizeOf } from "../engine/index.js";

/** A constant of an imported model. */
export interface Constant {
  readonly shape: readonly number[];
  /** Integers beyond 2^53 are rounded; no model that is supported has them. */
  readonly data: ArrayLike<number>;
  /** Division of integers drops what is behind the point. */
  readonly integer?: boolean;
}

/** Reads a part of a file beside the model. @throws Error when it must not or cannot be read */
export type ReadExternal = (location: string, offset: number, length?: number) => Uint8Array;

/** Elements that a constant may have: a gigabyte of float32. */
export const MAX_ELEMENTS = 2 ** 28;

/** @throws Error naming the tensor when it is malformed, of an unsupported type or too large */
export function readTensor(tensor: TensorProto, readExternal: ReadExternal): Constant {
  const shape = tensor.dims.map(Number);
  const fail = (what: string): never => {
    throw new Error(`constant "${tensor.name}" ${what}`);
  };
  if (shape.some((size) => !Number.isSafeInteger(size) || size < 0))
    fail(`has the shape [${shape.join()}]`);
  const size = sizeOf(shape);
  if (size > MAX_ELEMENTS)
    fail(`of shape [${shape.join()}] is larger than the ${String(MAX_ELEMENTS)} values accepted`);
  const known = z.enum(DataType).safeParse(tensor.dataType);
  const type = known.success ? known.data : fail(`has the element type ${String(tensor.dataType)}`);
  const data =
    tensor.dataLocation === TensorProto_DataLocation.EXTERNAL
      ? decode(type, external(tensor, readExternal), fail)
      : tensor.rawData.length > 0
        ? decode(type, tensor.rawData, fail)
        : listed(tensor, type, fail);
  if (data.length !== size)
    fail(
      `of shape [${shape.join()}] holds ${String(data.length)} values instead of ${String(size)}`,
    );
  return { shape, data, integer: !isFloatType(type) };
}

const FLOAT_TYPES: readonly DataType[] = [
  DataType.FLOAT,
  DataType.DOUBLE,
  DataType.FLOAT16,
  DataType.BFLOAT16,
];

/** Whether values of an ONNX element type have places behind the point. */
export const isFloatType = (type: number): boolean =>
  FLOAT_TYPES.some((one) => (one as number) === type);

function external({ name, externalData }: TensorProto, read: ReadExternal): Uint8Array {
  const entries = new Map(externalData.map(({ key, value }) => [key, value]));
  const number = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < 0)
      throw new Error(`constant "${name}" has the external ${key} "${text}"`);
    return value;
  };
  return read(entries.get("location") ?? "", number("offset") ?? 0, number("length"));
}

/** Values in the fields of the protocol buffer. */
function listed(tensor: TensorProto, type: DataType, fail: (what: string) => never) {
  switch (type) {
    case DataType.FLOAT:
      return tensor.floatData;
    case DataType.DOUBLE:
      return tensor.doubleData;
    case DataType.INT64:
      return tensor.int64Data.map(Number);
    case DataType.FLOAT16:
      return tensor.int32Data.map(halfToFloat);
    case DataType.BFLOAT16:
      return tensor.int32Data.map(brainToFloat);
    case DataType.INT8:
    case DataType.UINT8:
    case DataType.INT16:
    case DataType.UINT16:
    case DataType.INT32:
    case DataType.BOOL:
      return tensor.int32Data;
    default:
      return fail(unsupportedType(type));
  }
}

/** Values in little-endian bytes. */
function decode(type: DataType, bytes: Uint8Array, fail: (what: string) => never) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const filled = <T extends Float32Array | Float64Array>(
    values: (length: number) => T,
    width: number,
    read: (offset: number) => number,
  ): T => {
    if (bytes.length % width !== 0) fail(`is cut off: ${String(bytes.length)} bytes`);
    const result = values(bytes.length / width);
    for (let i = 0; i < result.length; i++) result[i] = read(i * width);
    return result;
  };
  const each = (width: number, read: (offset: number) => number) =>
    filled((length) => new Float64Array(length), width, read);
  const floats = (width: number, read: (offset: number) => number) =>
    filled((length) => new Float32Array(length), width, read);
  switch (type) {
    case DataType.FLOAT:
      if (bytes.length % 4 !== 0) fail(`is cut off: ${String(bytes.length)} bytes`);
      return LITTLE_ENDIAN ? copied(bytes) : floats(4, (at) => view.getFloat32(at, true));
    case DataType.DOUBLE:
      return each(8, (at) => view.getFloat64(at, true));
    case DataType.FLOAT16:
      return floats(2, (at) => halfToFloat(view.getUint16(at, true)));
    case DataType.BFLOAT16:
      return floats(2, (at) => brainToFloat(view.getUint16(at, true)));
    case DataType.INT64:
      return each(8, (at) => Number(view.getBigInt64(at, true)));
    case DataType.INT32:
      return each(4, (at) => view.getInt32(at, true));
    case DataType.INT16:
      return each(2, (at) => view.getInt16(at, true));
    case DataType.UINT16:
      return each(2, (at) => view.getUint16(at, true));
    case DataType.INT8:
      return each(1, (at) => view.getInt8(at));
    case DataType.UINT8:
    case DataType.BOOL:
      return each(1, (at) => view.getUint8(at));
    default:
      return fail(unsupportedType(type));
  }
}

/** Bytes as this machine's floats, wherever in a file they lie. */
function copied(bytes: Uint8Array): Float32Array {
  const values = new Float32Array(bytes.length / Float32Array.BYTES_PER_ELEMENT);
  new Uint8Array(values.buffer).set(bytes);
  return values;
}

/** Whether this machine keeps numbers as files do. */
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

const unsupportedType = (type: DataType): string =>
  `has the element type ${DataType[type]}; accepted are float, double, float16, bfloat16 and integers of 8 to 64 bits`;

/** IEEE 754 binary16. */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The nearest IEEE 754 binary16, ties to even, as its bits. */
export function floatToHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00; // half a step beyond the largest
  let exponent = -14;
  while (2 ** (exponent + 1) <= size) exponent++;
  const step = 2 ** (exponent - 10);
  const floor = Math.floor(size / step);
  const rest = size / step - floor;
  const steps = floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0);
  // Carries move into the exponent by themselves.
  return sign | (size === 0 ? 0 : (exponent + 14) * 1024 + steps);
}

/** bfloat16: the upper half of a float32. */
export function brainToFloat(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits * 2 ** 16);
  return view.getFloat32(0);
}
