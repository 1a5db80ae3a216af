import { Builder } from "flatbuffers";

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
  PAD: { code: 34, version: 2 },
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

/** An option of an operator: its place in the options' table, its type and value. */
type OptionField = readonly [slot: number, type: "byte" | "int", value: number];

export interface TfliteOptions {
  /** Number of the options' table among all in the schema. */
  readonly table: number;
  readonly fields: readonly OptionField[];
}

interface OperatorEntry {
  readonly operator: TfliteOperator;
  readonly inputs: readonly number[];
  readonly output: number;
  readonly options?: TfliteOptions | undefined;
}

/**
 * Builds a TensorFlow Lite model with one graph.
 *
 * @see https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
 *   schema version 3
 */
export class TfliteModel {
  readonly #tensors: TfliteTensor[] = [];
  readonly #operators: OperatorEntry[] = [];

  /** Adds a tensor and returns its number. */
  tensor(tensor: TfliteTensor): number {
    return this.#tensors.push(tensor) - 1;
  }

  /** Adds an operator that writes the tensor `output`, and returns that number. */
  add(
    operator: TfliteOperator,
    inputs: readonly number[],
    output: number,
    options?: TfliteOptions,
  ): number {
    this.#operators.push({ operator, inputs, output, options });
    return output;
  }

  /** How often each operator is in the graph. */
  get operatorCounts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { operator } of this.#operators) counts[operator] = (counts[operator] ?? 0) + 1;
    return counts;
  }

  at(index: number): TfliteTensor {
    const tensor = this.#tensors[index];
    if (tensor === undefined) throw new RangeError(`no tensor ${String(index)}`);
    return tensor;
  }

  toBytes(
    input: number,
    output: number,
    { name, description }: { readonly name: string; readonly description: string },
  ): Uint8Array {
    const builder = new Builder(1 << 16);
    const ints = (values: readonly number[]): number => {
      builder.startVector(4, values.length, 4);
      for (const value of values.toReversed()) builder.addInt32(value);
      return builder.endVector();
    };
    const offsets = (values: readonly number[]): number => {
      builder.startVector(4, values.length, 4);
      for (const value of values.toReversed()) builder.addOffset(value);
      return builder.endVector();
    };
    const table = (fields: number, write: () => void): number => {
      builder.startObject(fields);
      write();
      return builder.endObject();
    };

    // Buffer 0 is empty by convention: what tensors that are computed refer to.
    const contents = [undefined, ...this.#tensors.map(elementBytes)];
    const buffers = contents.map((bytes) => {
      if (bytes === undefined) return table(1, () => undefined);
      builder.startVector(1, bytes.length, 16);
      for (let i = bytes.length - 1; i >= 0; i--) builder.addInt8(bytes[i] ?? 0);
      const data = builder.endVector();
      return table(1, () => {
        builder.addFieldOffset(0, data, 0);
      });
    });
    const tensors = this.#tensors.map((tensor, index) => {
      const nameOffset = builder.createString(tensor.name);
      const shape = ints(tensor.shape);
      const grid = tensor.grid && quantization(builder, tensor.grid);
      return table(8, () => {
        builder.addFieldOffset(0, shape, 0);
        builder.addFieldInt8(1, TENSOR_TYPES[tensor.type], 0);
        builder.addFieldInt32(2, tensor.data === undefined ? 0 : index + 1, 0);
        builder.addFieldOffset(3, nameOffset, 0);
        if (grid !== undefined) builder.addFieldOffset(4, grid, 0);
      });
    });
    const codes = [...new Set(this.#operators.map(({ operator }) => operator))];
    const operators = this.#operators.map(({ operator, inputs, output: result, options }) => {
      const [inputsOffset, outputsOffset] = [ints(inputs), ints([result])];
      const optionsOffset =
        options &&
        table(8, () => {
          for (const [slot, type, value] of options.fields) {
            if (type === "byte") builder.addFieldInt8(slot, value, 0);
            else builder.addFieldInt32(slot, value, 0);
          }
        });
      return table(9, () => {
        builder.addFieldInt32(0, codes.indexOf(operator), 0);
        builder.addFieldOffset(1, inputsOffset, 0);
        builder.addFieldOffset(2, outputsOffset, 0);
        if (options !== undefined && optionsOffset !== undefined) {
          builder.addFieldInt8(3, options.table, 0);
          builder.addFieldOffset(4, optionsOffset, 0);
        }
      });
    });
    const graph = (() => {
      const [tensorsOffset, inputs, outputs, operatorsOffset, nameOffset] = [
        offsets(tensors),
        ints([input]),
        ints([output]),
        offsets(operators),
        builder.createString(name),
      ];
      return table(5, () => {
        builder.addFieldOffset(0, tensorsOffset, 0);
        builder.addFieldOffset(1, inputs, 0);
        builder.addFieldOffset(2, outputs, 0);
        builder.addFieldOffset(3, operatorsOffset, 0);
        builder.addFieldOffset(4, nameOffset, 0);
      });
    })();
    const operatorCodes = offsets(
      codes.map((operator) => {
        const { code, version } = OPERATORS[operator];
        return table(4, () => {
          builder.addFieldInt8(0, code, 0);
          builder.addFieldInt32(2, version, 1);
          builder.addFieldInt32(3, code, 0);
        });
      }),
    );
    const [graphs, descriptionOffset, buffersOffset] = [
      offsets([graph]),
      builder.createString(description),
      offsets(buffers),
    ];
    const model = table(8, () => {
      builder.addFieldInt32(0, 3, 0);
      builder.addFieldOffset(1, operatorCodes, 0);
      builder.addFieldOffset(2, graphs, 0);
      builder.addFieldOffset(3, descriptionOffset, 0);
      builder.addFieldOffset(4, buffersOffset, 0);
    });
    builder.finish(model, "TFL3");
    return builder.asUint8Array();
  }
}

function quantization(
  builder: Builder,
  { scale, zeroPoint, axis = 0 }: NonNullable<TfliteTensor["grid"]>,
): number {
  builder.startVector(4, scale.length, 4);
  for (let i = scale.length - 1; i >= 0; i--) builder.addFloat32(scale[i] ?? 0);
  const scales = builder.endVector();
  builder.startVector(8, zeroPoint.length, 8);
  for (let i = zeroPoint.length - 1; i >= 0; i--) builder.addInt64(BigInt(zeroPoint[i] ?? 0));
  const zeroPoints = builder.endVector();
  builder.startObject(7);
  builder.addFieldOffset(2, scales, 0);
  builder.addFieldOffset(3, zeroPoints, 0);
  builder.addFieldInt32(6, axis, 0);
  return builder.endObject();
}

function elementBytes({ data, type }: TfliteTensor): Uint8Array | undefined {
  if (data === undefined) return undefined;
  if (type !== "int4") return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return Uint8Array.from(
    { length: Math.ceil(data.length / 2) },
    (_, i) => ((data[2 * i] ?? 0) & 15) | (((data[2 * i + 1] ?? 0) & 15) << 4),
  );
}
