// TensorFlow Lite files put together table by table, as other frameworks' converters write them.
import { Builder } from "flatbuffers";

export interface LiteConstant {
  readonly shape: readonly number[];
  readonly type: "float32" | "float16" | "int32" | "int8";
  readonly values: ArrayLike<number>;
  readonly step?: number;
}
type Field = readonly [
  slot: number,
  kind: "byte" | "int" | "float" | "ints",
  value: number | readonly number[],
];
export interface LiteOptions {
  /** Number of the options' table. */
  readonly table: number;
  readonly fields: readonly Field[];
}
export interface HandOperator {
  readonly code: number;
  /** "" where one is left out. */
  readonly inputs: readonly string[];
  /** Names and shapes. */
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  readonly options?: LiteOptions;
  readonly custom?: string;
  /** Gives int32 instead of float32. */
  readonly whole?: boolean;
}
export interface HandLite {
  readonly input: readonly number[];
  readonly inputType?: number;
  /** Sizes that are open are -1. */
  readonly signature?: readonly number[];
  readonly constants: Readonly<Record<string, LiteConstant>>;
  readonly operators: readonly HandOperator[];
  readonly outputs?: readonly string[];
  /** What callers call the outputs. */
  readonly outputNames?: readonly string[];
  /** So often the first tensor is named once more, with a name of so many letters. */
  readonly repeated?: number;
  readonly long?: number;
}

const TYPES = { float32: 0, float16: 1, int32: 2, int8: 9 } as const;
const ARRAYS = { float32: Float32Array, float16: Uint16Array, int32: Int32Array, int8: Int8Array };

/** A file with one graph, from "x" to "y". */
export function tfliteByHand(model: HandLite): Uint8Array {
  const { input, signature, constants, operators, outputs = ["y"] } = model;
  const file = new Builder(1 << 12);
  const computed = {
    x: input,
    ...Object.assign({}, ...operators.map((one) => one.outputs)),
  } as Record<string, readonly number[]>;
  const names = [...Object.keys(computed), ...Object.keys(constants)];
  const numbers = (list: readonly string[]) =>
    ints(
      file,
      list.map((name) => (name === "" ? -1 : names.indexOf(name))),
    );
  const contents = Object.values(constants).map((constant) => {
    const data = new Uint8Array(ARRAYS[constant.type].from(constant.values).buffer);
    file.startVector(1, data.length, 16);
    for (let i = data.length - 1; i >= 0; i--) file.addInt8(data[i] ?? 0);
    return table(file, [[0, "offset", file.endVector()]]);
  });
  const buffers = [table(file, []), ...contents];
  const tensors = names.map((name) => {
    const constant = constants[name];
    const shape = ints(file, constant?.shape ?? computed[name] ?? []);
    const open = name === "x" && signature ? ints(file, signature) : 0;
    const grid =
      constant?.step === undefined
        ? 0
        : table(file, [[2, "offset", floats(file, [constant.step])]]);
    const isWhole = operators.some((one) => one.whole === true && name in one.outputs);
    const type = isWhole
      ? TYPES.int32
      : constant
        ? TYPES[constant.type]
        : name === "x"
          ? (model.inputType ?? 0)
          : 0;
    const buffer = constant ? 1 + Object.keys(constants).indexOf(name) : 0;
    return table(file, [
      ...([
        [0, "offset", shape],
        [1, "byte", type],
        [2, "int", buffer],
      ] as const),
      ...([
        [3, "offset", file.createString(name === "x" ? name.padEnd(model.long ?? 0, "x") : name)],
        [4, "offset", grid],
        [7, "offset", open],
      ] as const),
    ]);
  });
  const repeated = Array<number>(model.repeated ?? 0).fill(tensors[0] ?? 0);
  const listed = [...tensors, ...repeated];
  const operations = operators.map(({ inputs, outputs: given, options }, i) => {
    const own = options && optionsOf(file, options);
    return table(file, [
      ...([
        [0, "int", i],
        [1, "offset", numbers(inputs)],
      ] as const),
      [2, "offset", numbers(Object.keys(given))],
      ...(own === undefined
        ? []
        : ([
            [3, "byte", options?.table ?? 0],
            [4, "offset", own],
          ] as const)),
    ]);
  });
  const graph = table(file, [
    ...([
      [0, "offset", offsets(file, listed)],
      [1, "offset", numbers(["x"])],
    ] as const),
    ...([
      [2, "offset", numbers(outputs)],
      [3, "offset", offsets(file, operations)],
    ] as const),
  ]);
  const codes = operators.map(({ code, custom }) => {
    const name = custom === undefined ? 0 : file.createString(custom);
    return table(file, [
      ...([
        [0, "byte", Math.min(code, 127)],
        [1, "offset", name],
      ] as const),
      ...([
        [2, "int", 1],
        [3, "int", code],
      ] as const),
    ]);
  });
  const called = (model.outputNames ?? []).map((name, i) =>
    table(file, [
      [0, "offset", file.createString(name)],
      [1, "int", names.indexOf(outputs[i] ?? "")],
    ]),
  );
  const calls = called.length === 0 ? 0 : signatureOf(file, called);
  const root = table(file, [
    ...([
      [0, "int", 3],
      [1, "offset", offsets(file, codes)],
    ] as const),
    ...([
      [2, "offset", offsets(file, [graph])],
      [4, "offset", offsets(file, buffers)],
    ] as const),
    [7, "offset", calls],
  ]);
  file.finish(root, "TFL3");
  return file.asUint8Array();
}

function signatureOf(file: Builder, outputs: readonly number[]): number {
  const input = table(file, [
    [0, "offset", file.createString("image")],
    [1, "int", 0],
  ]);
  const key = file.createString("serving_default");
  const signature = table(file, [
    ...([
      [0, "offset", offsets(file, [input])],
      [1, "offset", offsets(file, outputs)],
    ] as const),
    [2, "offset", key],
  ]);
  return offsets(file, [signature]);
}

function optionsOf(file: Builder, { fields }: LiteOptions): number {
  const written = fields.map(([slot, kind, value]): Written => {
    if (kind === "ints") return [slot, "offset", ints(file, value as readonly number[])];
    return [slot, kind, value as number];
  });
  return table(file, written);
}

type Written = readonly [slot: number, kind: "byte" | "int" | "float" | "offset", value: number];

/** Fields are all written, also those that have their defaults. */
function table(file: Builder, fields: readonly Written[]): number {
  file.startObject(12);
  file.forceDefaults(true);
  for (const [slot, kind, value] of fields) {
    if (kind === "byte") file.addFieldInt8(slot, value, 0);
    else if (kind === "int") file.addFieldInt32(slot, value, 0);
    else if (kind === "float") file.addFieldFloat32(slot, value, 0);
    else if (value !== 0) file.addFieldOffset(slot, value, 0);
  }
  return file.endObject();
}

function ints(file: Builder, values: readonly number[]): number {
  file.startVector(4, values.length, 4);
  for (const value of values.toReversed()) file.addInt32(value);
  return file.endVector();
}

function floats(file: Builder, values: readonly number[]): number {
  file.startVector(4, values.length, 4);
  for (const value of values.toReversed()) file.addFloat32(value);
  return file.endVector();
}

function offsets(file: Builder, values: readonly number[]): number {
  file.startVector(4, values.length, 4);
  for (const value of values.toReversed()) file.addOffset(value);
  return file.endVector();
}
