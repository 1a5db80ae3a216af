import { Builder } from "flatbuffers";

/**
 * A field of a table: its place, its type and its value, which for an offset is what was written
 * before; last the schema's default, 0 if absent. A field that equals its default is left out.
 */
export type Field = readonly [
  slot: number,
  type: "byte" | "int" | "offset",
  value: number,
  otherwise?: number,
];

/** Writes a flatbuffer from its leaves to its root. Each method returns the offset of what it wrote. */
export class Flatbuffer {
  readonly #builder = new Builder(1 << 16);

  text(value: string): number {
    return this.#builder.createString(value);
  }

  /** Aligned as constants are to be. */
  bytes(values: Uint8Array): number {
    return this.#vector(values, { size: 1, alignment: 16 }, (value) => {
      this.#builder.addInt8(value);
    });
  }

  ints(values: readonly number[]): number {
    return this.#vector(values, { size: 4 }, (value) => {
      this.#builder.addInt32(value);
    });
  }

  longs(values: ArrayLike<number>): number {
    return this.#vector(values, { size: 8 }, (value) => {
      this.#builder.addInt64(BigInt(value));
    });
  }

  floats(values: ArrayLike<number>): number {
    return this.#vector(values, { size: 4 }, (value) => {
      this.#builder.addFloat32(value);
    });
  }

  offsets(values: readonly number[]): number {
    return this.#vector(values, { size: 4 }, (value) => {
      this.#builder.addOffset(value);
    });
  }

  /** @param slots how many fields the schema has room for */
  table(slots: number, fields: readonly Field[]): number {
    this.#builder.startObject(slots);
    for (const [slot, type, value, otherwise = 0] of fields) {
      if (type === "byte") this.#builder.addFieldInt8(slot, value, otherwise);
      else if (type === "int") this.#builder.addFieldInt32(slot, value, otherwise);
      else this.#builder.addFieldOffset(slot, value, otherwise);
    }
    return this.#builder.endObject();
  }

  finish(root: number, identifier: string): Uint8Array {
    this.#builder.finish(root, identifier);
    return this.#builder.asUint8Array();
  }

  /** From the last element to the first, as buffers grow downwards. */
  #vector(
    values: ArrayLike<number>,
    { size, alignment = size }: { readonly size: number; readonly alignment?: number },
    add: (value: number) => void,
  ): number {
    this.#builder.startVector(size, values.length, alignment);
    for (let i = values.length - 1; i >= 0; i--) add(values[i] ?? 0);
    return this.#builder.endVector();
  }
}
