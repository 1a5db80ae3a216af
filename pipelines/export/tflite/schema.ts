import type { Field } from "./flatbuffer.js";

/** Element types by their numbers in the schema. */
export const TENSOR_TYPES = { float32: 0, int32: 2, int8: 9, int4: 17 } as const;
export type TfliteType = keyof typeof TENSOR_TYPES;

/** Operators by their numbers in the schema, and the version that takes 8-bit integers. */
export const OPERATORS = {
  ADD: { code: 0, version: 2 },
  CONCATENATION: { code: 2, version: 2 },
  CONV_2D: { code: 3, version: 3 },
  DEPTHWISE_CONV_2D: { code: 4, version: 3 },
  DEQUANTIZE: { code: 6, version: 2 },
  FULLY_CONNECTED: { code: 9, version: 4 },
  MAX_POOL_2D: { code: 17, version: 2 },
  RELU: { code: 19, version: 2 },
  RELU6: { code: 21, version: 2 },
  RESHAPE: { code: 22, version: 1 },
  PAD: { code: 34, version: 2 },
  TRANSPOSE: { code: 39, version: 2 },
  MEAN: { code: 40, version: 2 },
  MAXIMUM: { code: 55, version: 2 },
  MINIMUM: { code: 57, version: 2 },
  PADV2: { code: 60, version: 2 },
  QUANTIZE: { code: 114, version: 2 },
} as const;
export type TfliteOperator = keyof typeof OPERATORS;

export interface TfliteTensor {
  readonly name: string;
  readonly type: TfliteType;
  readonly shape: readonly number[];
  /** Elements of a constant; two to a byte where they are int4, the first in the low half. */
  readonly data?: Float32Array | Int32Array | Int8Array;
  readonly grid?: {
    readonly scale: ArrayLike<number>;
    readonly zeroPoint: ArrayLike<number>;
    /** The axis of scales that differ by channel. */
    readonly axis?: number;
  };
}

export interface TfliteOptions {
  /** Number of the options' table among all in the schema. */
  readonly table: number;
  readonly fields: readonly Field[];
}

/** An operator between tensors. */
export interface TfliteOperation {
  readonly operator: TfliteOperator;
  readonly inputs: readonly number[];
  readonly output: number;
  readonly options?: TfliteOptions | undefined;
}
