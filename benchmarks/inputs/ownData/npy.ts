import { unzipSync } from "fflate";
import { halfToFloat } from "../../../pipelines/import/index.js";

/** An array of a .npy file. */
export interface NpyArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array | Float32Array;
  /** "bytes" as they were stored; else converted to float32, from integers or from numbers of any kind. */
  readonly kind: "bytes" | "integers" | "numbers";
}

const MAGIC = "\x93NUMPY";
const HEADER =
  /^\{\s*'descr':\s*'([^']*)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d,\s]*)\),?\s*\}/;

/**
 * Reads an array in NumPy's format (versions 1 to 3): integers of 8 to 64 bits, float16 to float64.
 *
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 * @throws Error naming the file and what is wrong with it
 */
export function readNpy(bytes: Uint8Array, path: string): NpyArray {
  const fail = (what: string): never => {
    throw new Error(`${path} ${what}`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || Buffer.from(bytes.subarray(0, 6)).toString("latin1") !== MAGIC)
    fail("is no .npy file");
  const wide = view.getUint8(6) > 1;
  const start = wide ? 12 : 10;
  const end = start + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
  if (end > bytes.length) fail("is truncated");
  const match = HEADER.exec(Buffer.from(bytes.subarray(start, end)).toString("latin1"));
  if (match === null) return fail("has a header that is not understood");
  const [, type = "", order, dimensions = ""] = match;
  if (order === "True") fail("is in Fortran order; save it with numpy.ascontiguousarray");
  const shape = dimensions
    .split(",")
    .filter((part) => part.trim() !== "")
    .map(Number);
  const count = shape.reduce((a, b) => a * b, 1);
  const element = ELEMENTS[type.replace(/^[|=]/, "<")];
  if (element === undefined)
    return fail(
      `holds elements of type "${type}"; accepted are ${Object.keys(ELEMENTS).join(", ")}`,
    );
  const expected = count * element.size;
  if (bytes.length - end !== expected)
    fail(
      `is truncated or damaged: [${shape.join()}] needs ${String(expected)} bytes, there are ${String(bytes.length - end)}`,
    );
  if (type.endsWith("u1")) return { shape, data: bytes.subarray(end), kind: "bytes" };
  const data = Float32Array.from({ length: count }, (_, i) =>
    element.read(view, end + i * element.size),
  );
  return { shape, data, kind: /[iu]\d$/.test(type) ? "integers" : "numbers" };
}

interface Element {
  readonly size: number;
  readonly read: (view: DataView, at: number) => number;
}

const ELEMENTS: Readonly<Record<string, Element>> = {
  "<u1": { size: 1, read: (view, at) => view.getUint8(at) },
  "<i1": { size: 1, read: (view, at) => view.getInt8(at) },
  "<u2": { size: 2, read: (view, at) => view.getUint16(at, true) },
  "<i2": { size: 2, read: (view, at) => view.getInt16(at, true) },
  "<i4": { size: 4, read: (view, at) => view.getInt32(at, true) },
  "<u4": { size: 4, read: (view, at) => view.getUint32(at, true) },
  "<i8": { size: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
  "<u8": { size: 8, read: (view, at) => Number(view.getBigUint64(at, true)) },
  "<f2": { size: 2, read: (view, at) => halfToFloat(view.getUint16(at, true)) },
  "<f4": { size: 4, read: (view, at) => view.getFloat32(at, true) },
  "<f8": { size: 8, read: (view, at) => view.getFloat64(at, true) },
};

/** Unpacked; a small file could claim to hold any amount. */
const MAX_NPZ_BYTES = 2 ** 31;

/** Every array of an .npz file, by name. */
export function readNpz(bytes: Uint8Array, path: string): Map<string, NpyArray> {
  let total = 0;
  const fits = ({ originalSize }: { readonly originalSize: number }): boolean => {
    total += originalSize;
    if (total > MAX_NPZ_BYTES) throw new Error(`it holds more than ${String(MAX_NPZ_BYTES)} bytes`);
    return true;
  };
  const files = (() => {
    try {
      return unzipSync(bytes, { filter: fits });
    } catch (error) {
      throw new Error(`${path} is no .npz file, or damaged (${(error as Error).message})`, {
        cause: error,
      });
    }
  })();
  return new Map(
    Object.entries(files).map(([name, file]) => [
      name.replace(/\.npy$/, ""),
      readNpy(file, `${path}: ${name}`),
    ]),
  );
}
