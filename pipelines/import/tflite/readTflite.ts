import { ELEMENT_TYPES, operatorName, type ElementType } from "./schema.js";
import { FlatbufferBytes, type Table } from "../../flatbuffers.js";

/** A tensor of the graph. */
export interface LiteTensor {
  readonly name: string;
  readonly type: ElementType;
  /** With the batch; what the file leaves open is -1. */
  readonly shape: readonly number[];
  /** Little-endian elements of a constant; empty where the tensor is computed. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The size of a step, where integers stand for real numbers. */
  readonly step?: number;
}

export interface LiteOperator {
  /** As the schema calls it; "CUSTOM name" where it is none of the schema's. */
  readonly name: string;
  /** Numbers of tensors; -1 where one is left out. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** What else it needs to know; a table of its own for each operator. */
  readonly options?: Table;
}

/** The first graph of a file. */
export interface LiteGraph {
  readonly tensors: readonly LiteTensor[];
  readonly operators: readonly LiteOperator[];
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** What whoever calls the graph calls its outputs, by their tensors' numbers. */
  readonly outputNames: ReadonlyMap<number, string>;
}

/** Axes that a tensor may have. */
const MAX_RANK = 8;

const IDENTIFIER = "TFL3";

/** Whether bytes are those of a TensorFlow Lite file, whatever it is called. */
export const isTflite = (bytes: Uint8Array): boolean =>
  bytes.length >= 8 && String.fromCharCode(...bytes.subarray(4, 8)) === IDENTIFIER;

/**
 * Reads the parts of a TensorFlow Lite file.
 *
 * @throws Error saying what is wrong with the file
 * @see https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
 *   schema version 3; numbers of fields are its order
 */
export function readTflite(bytes: Uint8Array): LiteGraph {
  if (!isTflite(bytes))
    throw new Error(
      `this is no TensorFlow Lite file, or it is truncated: bytes 4 to 8 must be "${IDENTIFIER}"`,
    );
  const file = new FlatbufferBytes(bytes);
  const model = file.root();
  const [graph] = model.tables(2);
  if (graph === undefined) throw new Error("the TensorFlow Lite file holds no graph");
  const codes = model.tables(1).map(operatorCode);
  const contents = model.tables(4).map((buffer) => bufferBytes(file, buffer));
  const tensors = graph.tables(0).map((tensor) => readTensor(tensor, contents));
  for (const { bytes: values } of tensors) file.spend(values.length); // those that share a buffer, too
  const known = (numbers: readonly number[], lowest: number): readonly number[] => {
    const wrong = numbers.find((one) => one < lowest || one >= tensors.length);
    if (wrong === undefined) return numbers;
    throw new Error(
      `the file is damaged: it refers to tensor ${String(wrong)} of ${String(tensors.length)}`,
    );
  };
  return {
    tensors,
    operators: graph.tables(3).map((operator) => {
      const options = operator.table(4);
      return {
        name: codes[operator.int(0)] ?? `operator code ${String(operator.int(0))}`,
        inputs: known(operator.ints(1), -1),
        outputs: known(operator.ints(2), 0),
        ...(options && { options }),
      };
    }),
    inputs: known(graph.ints(1), 0),
    outputs: known(graph.ints(2), 0),
    outputNames: signatureOutputs(model),
  };
}

/** Numbers above 127 have a field of their own; the older one is then 127. */
function operatorCode(code: Table): string {
  const name = operatorName(Math.max(code.byte(0), code.int(3)));
  return name === "CUSTOM" ? `CUSTOM ${code.text(1)}` : name;
}

/** In the flatbuffer, or behind it in files of more than 2 GiB. */
function bufferBytes(file: FlatbufferBytes, buffer: Table): Uint8Array<ArrayBuffer> {
  const [offset, size] = [buffer.long(1), buffer.long(2)];
  return offset > 1 ? file.part(offset, size) : buffer.bytes(0);
}

function readTensor(tensor: Table, contents: readonly Uint8Array<ArrayBuffer>[]): LiteTensor {
  const name = tensor.text(3);
  const number = tensor.byte(1);
  const type = ELEMENT_TYPES[number];
  if (type === undefined) throw new Error(`tensor "${name}" has the type ${String(number)}`);
  const declared = tensor.ints(0);
  const signature = tensor.ints(7);
  const shape = signature.length === declared.length ? signature : declared;
  if (shape.length > MAX_RANK || shape.some((size) => size < -1))
    throw new Error(`tensor "${name}" has the shape [${shape.slice(0, 2 * MAX_RANK).join()}]`);
  const buffer = tensor.int(2);
  const bytes = buffer === 0 ? new Uint8Array(0) : contents[buffer];
  if (bytes === undefined)
    throw new Error(
      `tensor "${name}" has its values in buffer ${String(buffer)}, which is not there`,
    );
  if (tensor.table(6) !== undefined && bytes.length > 0)
    throw new Error(`tensor "${name}" is sparse, which is not supported: store it densely`);
  const [step] = tensor.table(4)?.floats(2) ?? [];
  return { name, type, shape, bytes, ...(step !== undefined && { step }) };
}

/** Names of the first graph's outputs in its first signature. */
function signatureOutputs(model: Table): ReadonlyMap<number, string> {
  const signature = model.tables(7).find((one) => one.int(4) === 0);
  return new Map(signature?.tables(1).map((entry) => [entry.int(1), entry.text(0)]));
}

/** The same file with what it leaves open fixed to what it gives as an example: one image, as a rule. */
export function withFixedShapes(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const values = new DataView(copy.buffer);
  const [graph] = new FlatbufferBytes(copy).root().tables(2);
  for (const tensor of graph?.tables(0) ?? []) {
    const shape = tensor.ints(0);
    tensor.ints(7).forEach((size, axis) => {
      if (size < 0) values.setInt32(tensor.placeOf(7) + 4 * axis, shape[axis] ?? 1, true);
    });
  }
  return copy;
}
