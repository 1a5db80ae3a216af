// The binary format of WebAssembly, as far as generated loops need it.
// https://webassembly.github.io/spec/core/binary/

export const I32 = 0x7f;
export const V128 = 0x7b;

const FUNCTION = 0x60;
const SECTIONS = { type: 1, import: 2, function: 3, export: 7, code: 10 } as const;

/** An unsigned integer, 7 bits a byte. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest === 0 ? low : low | 128);
  } while (rest !== 0);
  return bytes;
}

function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = rest & 127;
    rest >>= 7;
    const done = (rest === 0 && (low & 64) === 0) || (rest === -1 && (low & 64) !== 0);
    bytes.push(done ? low : low | 128);
    if (done) return bytes;
  }
}

function float32(value: number): number[] {
  return [...new Uint8Array(Float32Array.of(value).buffer)];
}

const vector = (code: number): number[] => [0xfd, ...unsigned(code)];
/** Address and a constant offset; 4 bytes are what addresses are multiples of. */
const memoryAt = (offset: number): number[] => [2, ...unsigned(offset)];

/** Instructions, each as its bytes. */
export const instruction = {
  get: (local: number) => [0x20, ...unsigned(local)],
  set: (local: number) => [0x21, ...unsigned(local)],
  tee: (local: number) => [0x22, ...unsigned(local)],
  integer: (value: number) => [0x41, ...signed(value)],
  float: (value: number) => [0x43, ...float32(value)],
  call: (index: number) => [0x10, ...unsigned(index)],
  loop: [0x03, 0x40],
  end: [0x0b],
  /** Continues the innermost loop if the value is not 0. */
  repeatIf: [0x0d, 0],
  addIntegers: [0x6a],
  equalIntegers: [0x46],
  belowUnsigned: [0x49],
  select: [0x1b],
  load: (offset: number) => [...vector(0x00), ...memoryAt(offset)],
  loadSplat: (offset: number) => [...vector(0x09), ...memoryAt(offset)],
  store: (offset: number) => [...vector(0x0b), ...memoryAt(offset)],
  splat: vector(0x13),
  not: vector(0x4d),
  and: vector(0x4e),
  bitselect: vector(0x52),
  equal: vector(0x41),
  notEqual: vector(0x42),
  less: vector(0x43),
  greater: vector(0x44),
  lessEqual: vector(0x45),
  greaterEqual: vector(0x46),
  ceil: vector(0x67),
  floor: vector(0x68),
  truncate: vector(0x69),
  nearest: vector(0x6a),
  absolute: vector(0xe0),
  negate: vector(0xe1),
  squareRoot: vector(0xe3),
  add: vector(0xe4),
  subtract: vector(0xe5),
  multiply: vector(0xe6),
  divide: vector(0xe7),
  minimum: vector(0xe8),
  maximum: vector(0xe9),
  /** The second value if it is below the first, else the first: NaN where the first is. */
  smaller: vector(0xea),
  larger: vector(0xeb),
} as const;

export interface ImportedFunction {
  readonly name: string;
  /** How many vectors it takes; it gives one. */
  readonly arguments: number;
}

export interface GeneratedFunction {
  readonly name: string;
  /** Types of its local variables, in runs. */
  readonly locals: readonly (readonly [count: number, type: number])[];
  readonly body: readonly number[];
}

/** A module of functions without arguments and results, over a memory that it imports. */
export function encodeModule(
  imports: readonly ImportedFunction[],
  functions: readonly GeneratedFunction[],
): Uint8Array<ArrayBuffer> {
  const types = [
    [FUNCTION, 0, 0],
    ...imports.map(({ arguments: count }) => [
      FUNCTION,
      ...list(Array.from({ length: count }, () => [V128])),
      ...[1, V128],
    ]),
  ];
  const imported = [
    [...text("env"), ...text("memory"), 2, 0, ...unsigned(1)],
    ...imports.map(({ name }, i) => [...text("kernels"), ...text(name), 0, ...unsigned(i + 1)]),
  ];
  const exported = functions.map(({ name }, i) => [
    ...text(name),
    0,
    ...unsigned(imports.length + i),
  ]);
  const code = functions.map(({ locals, body }) => {
    const runs = list(locals.map(([count, type]) => [...unsigned(count), type]));
    const size = runs.length + body.length + instruction.end.length;
    return [...unsigned(size), ...runs, ...body, ...instruction.end];
  });
  return Uint8Array.from(
    [
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(SECTIONS.type, list(types)),
      section(SECTIONS.import, list(imported)),
      section(SECTIONS.function, list(functions.map(() => [0]))),
      section(SECTIONS.export, list(exported)),
      section(SECTIONS.code, list(code)),
    ].flat(),
  );
}

const list = (entries: readonly (readonly number[])[]): number[] => [
  ...unsigned(entries.length),
  ...entries.flat(),
];
const section = (id: number, bytes: readonly number[]): number[] => [
  id,
  ...unsigned(bytes.length),
  ...bytes,
];
const text = (value: string): number[] => {
  const bytes = [...new TextEncoder().encode(value)];
  return [...unsigned(bytes.length), ...bytes];
};
