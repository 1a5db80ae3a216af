import { ByteBuffer } from "flatbuffers";

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
  const buffer = new ByteBuffer(bytes);
  if (bytes.length < 8 || Buffer.from(bytes.subarray(4, 8)).toString("latin1") !== "TFL3")
    throw new Error("this is no TensorFlow Lite file");
  const model = new Table(buffer, buffer.readInt32(0));
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

/** A table of a flatbuffer, read field by field. */
class Table {
  readonly #buffer: ByteBuffer;
  readonly #at: number;

  constructor(buffer: ByteBuffer, at: number) {
    this.#buffer = buffer;
    this.#at = at;
  }

  /** Where a field's value is; 0 if it has its default. */
  #field(slot: number): number {
    const table = this.#at - this.#buffer.readInt32(this.#at);
    const place = 4 + 2 * slot;
    const offset =
      place < this.#buffer.readInt16(table) ? this.#buffer.readInt16(table + place) : 0;
    return offset === 0 ? 0 : this.#at + offset;
  }

  byte(slot: number): number {
    const at = this.#field(slot);
    return at === 0 ? 0 : this.#buffer.readInt8(at);
  }

  int(slot: number): number {
    const at = this.#field(slot);
    return at === 0 ? 0 : this.#buffer.readInt32(at);
  }

  text(slot: number): string {
    return new TextDecoder().decode(this.bytes(slot));
  }

  table(slot: number): Table | undefined {
    const at = this.#field(slot);
    return at === 0 ? undefined : new Table(this.#buffer, at + this.#buffer.readInt32(at));
  }

  tables(slot: number): Table[] {
    return this.#elements(
      slot,
      4,
      (at) => new Table(this.#buffer, at + this.#buffer.readInt32(at)),
    );
  }

  ints(slot: number): number[] {
    return this.#elements(slot, 4, (at) => this.#buffer.readInt32(at));
  }

  floats(slot: number): number[] {
    return this.#elements(slot, 4, (at) => this.#buffer.readFloat32(at));
  }

  longs(slot: number): number[] {
    return this.#elements(slot, 8, (at) => Number(this.#buffer.readInt64(at)));
  }

  bytes(slot: number): Uint8Array {
    return Uint8Array.from(this.#elements(slot, 1, (at) => this.#buffer.readUint8(at)));
  }

  #elements<T>(slot: number, size: number, read: (at: number) => T): T[] {
    const at = this.#field(slot);
    if (at === 0) return [];
    const start = at + this.#buffer.readInt32(at);
    const count = this.#buffer.readInt32(start);
    return Array.from({ length: count }, (_, i) => read(start + 4 + i * size));
  }
}
