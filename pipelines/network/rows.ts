import { closeSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { float32, type HostTensor, sizeOf } from "../engine/index.js";

/** A float32 tensor, of which some rows along its first axis are wanted at a time. */
export interface Rows {
  readonly shape: readonly number[];
  /** The rows `from` ... `to` - 1, not to be written to. */
  between(from: number, to: number): HostTensor;
  /** The rows at `indices`. */
  at(indices: ArrayLike<number>): HostTensor;
}

export interface StoredRows extends Rows {
  /** Writes whole rows from row `from` on. */
  write(data: Float32Array, from: number): void;
  /** Nobody needs the rows any more. */
  release(): void;
}

/** A tensor that is there. */
export function rowsOf({ shape, data }: HostTensor): StoredRows {
  const values = data instanceof Float32Array ? data : Float32Array.from(data);
  const [count = 1, ...rest] = shape;
  const size = values.length / count;
  return {
    shape,
    between: (from, to) => tensor(values.subarray(from * size, to * size), rest),
    at(indices) {
      const chosen = new Float32Array(indices.length * size);
      for (let slot = 0; slot < indices.length; slot++) {
        const index = indices[slot] ?? 0;
        chosen.set(values.subarray(index * size, (index + 1) * size), slot * size);
      }
      return tensor(chosen, rest);
    },
    write(part, from) {
      values.set(part, from * size);
    },
    release: () => undefined,
  };
}

/** What stays in memory, of all tensors together. */
const MEMORY_BYTES = 2 ** 29;

/** Places for tensors: in memory while there is room, then in files, which end with the process. */
export class RowStorage {
  readonly #directory: string;
  #free: number;
  #files = 0;

  /** @param options.memoryBytes room in memory, @param options.directory where files may lie */
  constructor({ memoryBytes = MEMORY_BYTES, directory = tmpdir() } = {}) {
    this.#free = memoryBytes;
    this.#directory = directory;
  }

  /** How many tensors went to files. */
  get files(): number {
    return this.#files;
  }

  /** A place for a tensor of this shape, to be written to. */
  create(shape: readonly number[]): StoredRows {
    const bytes = Float32Array.BYTES_PER_ELEMENT * sizeOf(shape);
    if (bytes > this.#free) {
      this.#files++;
      return rowsInFile(
        this.#directory,
        `.activations-${String(process.pid)}-${String(this.#files)}`,
        shape,
      );
    }
    this.#free -= bytes;
    return {
      ...rowsOf(float32(new Float32Array(sizeOf(shape)), shape)),
      release: () => {
        this.#free += bytes;
      },
    };
  }
}

/** The file has no name any more once it is open: it is gone with whoever reads it, however that ends. */
function rowsInFile(directory: string, name: string, shape: readonly number[]): StoredRows {
  const path = join(directory, name);
  const file = openSync(path, "wx+", 0o600);
  unlinkSync(path);
  const [, ...rest] = shape;
  const size = sizeOf(rest);
  const read = (into: Float32Array, row: number): void => {
    const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
    const start = row * size * Float32Array.BYTES_PER_ELEMENT;
    for (let done = 0; done < bytes.length;) {
      const count = readSync(file, bytes, done, bytes.length - done, start + done);
      if (count === 0) throw new Error(`row ${String(row)} of ${path} was not written`);
      done += count;
    }
  };
  return {
    shape,
    between(from, to) {
      const values = new Float32Array((to - from) * size);
      read(values, from);
      return tensor(values, rest);
    },
    at(indices) {
      const values = new Float32Array(indices.length * size);
      for (let slot = 0; slot < indices.length; slot++)
        read(values.subarray(slot * size, (slot + 1) * size), indices[slot] ?? 0);
      return tensor(values, rest);
    },
    write(data, from) {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      const start = from * size * Float32Array.BYTES_PER_ELEMENT;
      for (let done = 0; done < bytes.length;)
        done += writeSync(file, bytes, done, bytes.length - done, start + done);
    },
    release: () => {
      closeSync(file);
    },
  };
}

/** @param each shape of a row */
const tensor = (data: Float32Array, each: readonly number[]): HostTensor => ({
  dtype: "float32",
  shape: [data.length / sizeOf(each), ...each],
  data,
});
