import { FlatbufferBytes } from "../../flatbuffers.js";

/** What quantizers are made of in a TensorFlow Lite file. */
export interface ReadTensor {
  readonly name: string;
  /** Number of the schema's element type. */
  readonly type: number;
  readonly scale: readonly number[];
  readonly zeroPoint: readonly number[];
  /** Bytes of a constant; empty where the tensor is computed. */
  readonly bytes: Uint8Array;
}

export interface ReadOperator {
  /** Number of the schema's operator. */
  readonly code: number;
  readonly inputs: readonly number[];
  readonly output: number;
}

export interface ReadTflite {
  readonly description: string;
  readonly tensors: readonly ReadTensor[];
  readonly operators: readonly ReadOperator[];
}

/** @throws Error when the file is not of the format, or is cut off */
export function readTflite(bytes: Uint8Array): ReadTflite {
  if (bytes.length < 8 || Buffer.from(bytes.subarray(4, 8)).toString("latin1") !== "TFL3")
    throw new Error("this is no TensorFlow Lite file");
  const model = new FlatbufferBytes(bytes).root();
  const codes = model.tables(1).map((code) => code.int(3));
  const contents = model.tables(4).map((entry) => entry.bytes(0));
  const [graph] = model.tables(2);
  if (graph === undefined) throw new Error("the TensorFlow Lite file has no graph");
  return {
    description: model.text(3),
    tensors: graph.tables(0).map((tensor) => {
      const grid = tensor.table(4);
      return {
        name: tensor.text(3),
        type: tensor.byte(1),
        scale: grid?.floats(2) ?? [],
        zeroPoint: grid?.longs(3) ?? [],
        bytes: contents[tensor.int(2)] ?? new Uint8Array(0),
      };
    }),
    operators: graph.tables(3).map((operator) => ({
      code: codes[operator.int(0)] ?? -1,
      inputs: operator.ints(1),
      output: operator.ints(2)[0] ?? -1,
    })),
  };
}
