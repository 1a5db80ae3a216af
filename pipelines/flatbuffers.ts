/** How often everything in a file may be read on average: parts may be shared, but not without end. */
const READINGS = 16;

/**
 * Bytes of a flatbuffer, the format of TensorFlow Lite's files. Every place and size is checked before it is used:
 * they may be damaged or hostile.
 */
export class FlatbufferBytes {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #budget: number;

  constructor(bytes: Uint8Array) {
    const { buffer, byteOffset, byteLength } = bytes;
    this.#bytes =
      buffer instanceof ArrayBuffer
        ? new Uint8Array(buffer, byteOffset, byteLength)
        : bytes.slice();
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#budget = READINGS * bytes.length;
  }

  get length(): number {
    return this.#bytes.length;
  }

  root(): Table {
    return new Table(this, this.uint32(0));
  }

  uint8(at: number): number {
    return this.#view.getUint8(this.#within(at, 1));
  }

  uint16(at: number): number {
    return this.#view.getUint16(this.#within(at, 2), true);
  }

  int32(at: number): number {
    return this.#view.getInt32(this.#within(at, 4), true);
  }

  uint32(at: number): number {
    return this.#view.getUint32(this.#within(at, 4), true);
  }

  float32(at: number): number {
    return this.#view.getFloat32(this.#within(at, 4), true);
  }

  /** Beyond 2^53 rounded: no place in a file is. */
  uint64(at: number): number {
    return Number(this.#view.getBigUint64(this.#within(at, 8), true));
  }

  /** Beyond 2^53 rounded. */
  int64(at: number): number {
    return Number(this.#view.getBigInt64(this.#within(at, 8), true));
  }

  /** Part of the file itself, not a copy. */
  part(at: number, length: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(this.#within(at, length), at + length);
  }

  /** Counts bytes that are taken out of the file. @throws Error when they are many times its size */
  spend(count: number): void {
    this.#budget -= count;
    if (this.#budget < 0)
      throw new Error("the file is damaged: its parts refer to the same bytes over and over");
  }

  #within(at: number, length: number): number {
    if (!(at >= 0 && at + length <= this.#bytes.length))
      throw new Error(
        `the file is truncated or damaged: it refers to bytes ${String(at)} to ${String(at + length)}, and has ${String(this.#bytes.length)}`,
      );
    return at;
  }
}

/** A table of a flatbuffer; `slot` is the number of a field in the schema. */
export class Table {
  readonly #file: FlatbufferBytes;
  readonly #at: number;

  constructor(file: FlatbufferBytes, at: number) {
    this.#file = file;
    this.#at = at;
  }

  byte(slot: number, otherwise = 0): number {
    const at = this.#field(slot);
    return at === undefined ? otherwise : this.#file.uint8(at);
  }

  int(slot: number, otherwise = 0): number {
    const at = this.#field(slot);
    return at === undefined ? otherwise : this.#file.int32(at);
  }

  float(slot: number, otherwise = 0): number {
    const at = this.#field(slot);
    return at === undefined ? otherwise : this.#file.float32(at);
  }

  long(slot: number): number {
    const at = this.#field(slot);
    return at === undefined ? 0 : this.#file.uint64(at);
  }

  text(slot: number): string {
    const bytes = this.bytes(slot);
    this.#file.spend(bytes.length);
    return new TextDecoder().decode(bytes);
  }

  table(slot: number): Table | undefined {
    const at = this.#field(slot);
    return at === undefined ? undefined : this.#behind(at);
  }

  tables(slot: number): Table[] {
    return this.#elements(slot, (at) => this.#behind(at));
  }

  ints(slot: number): number[] {
    return this.#elements(slot, (at) => this.#file.int32(at));
  }

  /** Where in the file the elements of a vector begin. */
  placeOf(slot: number): number {
    const at = this.#field(slot) ?? 0;
    return at + this.#file.uint32(at) + 4;
  }

  floats(slot: number): number[] {
    return this.#elements(slot, (at) => this.#file.float32(at));
  }

  longs(slot: number): number[] {
    return this.#elements(slot, (at) => this.#file.int64(at), 8);
  }

  /** Of the file itself, not a copy. */
  bytes(slot: number): Uint8Array<ArrayBuffer> {
    const at = this.#field(slot);
    if (at === undefined) return new Uint8Array(0);
    const start = at + this.#file.uint32(at);
    return this.#file.part(start + 4, this.#file.uint32(start));
  }

  #behind(at: number): Table {
    return new Table(this.#file, at + this.#file.uint32(at));
  }

  /** Where a field's value is; undefined if it has its default. */
  #field(slot: number): number | undefined {
    const fields = this.#at - this.#file.int32(this.#at);
    const place = 4 + 2 * slot;
    const offset = place < this.#file.uint16(fields) ? this.#file.uint16(fields + place) : 0;
    return offset === 0 ? undefined : this.#at + offset;
  }

  #elements<T>(slot: number, read: (at: number) => T, size = 4): T[] {
    const at = this.#field(slot);
    if (at === undefined) return [];
    const start = at + this.#file.uint32(at);
    const count = this.#file.uint32(start);
    this.#file.part(start + 4, size * count);
    this.#file.spend(size * count);
    return Array.from({ length: count }, (_, i) => read(start + 4 + size * i));
  }
}
