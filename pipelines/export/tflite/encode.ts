import { Flatbuffer, type Field } from "./flatbuffer.js";
import {
  OPERATORS,
  TENSOR_TYPES,
  type TfliteOperation,
  type TfliteOperator,
  type TfliteTensor,
} from "./schema.js";

/** One graph, its tensors and operators by their numbers. */
interface TfliteGraph {
  readonly tensors: readonly TfliteTensor[];
  readonly operations: readonly TfliteOperation[];
  readonly input: number;
  readonly outputs: readonly number[];
  readonly name: string;
  readonly description: string;
}

const SCHEMA_VERSION = 3;

/** The file; tables' slots are those of the schema. */
export function encodeTflite(graph: TfliteGraph): Uint8Array {
  const file = new Flatbuffer();
  // Buffer 0 is empty by convention: what tensors that are computed refer to.
  const contents = [undefined, ...graph.tensors.map(elementBytes)];
  const buffers = contents.map((bytes) =>
    file.table(1, bytes === undefined ? [] : [[0, "offset", file.bytes(bytes)]]),
  );
  const operators = [...new Set(graph.operations.map(({ operator }) => operator))];
  const subgraph = encodeGraph(file, graph, operators);
  const codes = file.offsets(operators.map((operator) => encodeOperator(file, operator)));
  const fields: Field[] = [
    [0, "int", SCHEMA_VERSION],
    [1, "offset", codes],
    [2, "offset", file.offsets([subgraph])],
    [3, "offset", file.text(graph.description)],
    [4, "offset", file.offsets(buffers)],
  ];
  return file.finish(file.table(8, fields), "TFL3");
}

function encodeGraph(
  file: Flatbuffer,
  { tensors, operations, input, outputs, name }: TfliteGraph,
  operators: readonly TfliteOperator[],
): number {
  const tensorTables = tensors.map((tensor, index) => encodeTensor(file, tensor, index + 1));
  const operationTables = operations.map((operation) =>
    encodeOperation(file, operation, operators.indexOf(operation.operator)),
  );
  return file.table(5, [
    [0, "offset", file.offsets(tensorTables)],
    [1, "offset", file.ints([input])],
    [2, "offset", file.ints(outputs)],
    [3, "offset", file.offsets(operationTables)],
    [4, "offset", file.text(name)],
  ]);
}

function encodeTensor(
  file: Flatbuffer,
  { name, type, shape, data, grid }: TfliteTensor,
  buffer: number,
): number {
  const nameText = file.text(name);
  return file.table(8, [
    [0, "offset", file.ints(shape)],
    [1, "byte", TENSOR_TYPES[type]],
    [2, "int", data === undefined ? 0 : buffer],
    [3, "offset", nameText],
    [4, "offset", grid === undefined ? 0 : encodeGrid(file, grid)],
  ]);
}

const encodeGrid = (
  file: Flatbuffer,
  { scale, zeroPoint, axis = 0 }: NonNullable<TfliteTensor["grid"]>,
): number =>
  file.table(7, [
    [2, "offset", file.floats(scale)],
    [3, "offset", file.longs(zeroPoint)],
    [6, "int", axis],
  ]);

function encodeOperation(
  file: Flatbuffer,
  { inputs, output, options }: TfliteOperation,
  code: number,
): number {
  const ends: Field[] = [
    [0, "int", code],
    [1, "offset", file.ints(inputs)],
    [2, "offset", file.ints([output])],
  ];
  if (options === undefined) return file.table(9, ends);
  return file.table(9, [
    ...ends,
    [3, "byte", options.table],
    [4, "offset", file.table(8, options.fields)],
  ]);
}

function encodeOperator(file: Flatbuffer, operator: TfliteOperator): number {
  const { code, version } = OPERATORS[operator];
  return file.table(4, [
    [0, "byte", code],
    [2, "int", version, 1],
    [3, "int", code],
  ]);
}

function elementBytes({ data, type }: TfliteTensor): Uint8Array | undefined {
  if (data === undefined) return undefined;
  if (type !== "int4") return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return Uint8Array.from(
    { length: Math.ceil(data.length / 2) },
    (_, i) => ((data[2 * i] ?? 0) & 15) | (((data[2 * i + 1] ?? 0) & 15) << 4),
  );
}
