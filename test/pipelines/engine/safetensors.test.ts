import { expect, test } from "vitest";
import { decodeSafetensors, encodeSafetensors } from "../../../pipelines/engine/safetensors.js";

const tensors = {
  a: { dtype: "float32", shape: [2, 1], data: Float32Array.of(1.5, -0) },
  "b:ü": { dtype: "int32", shape: [], data: Int32Array.of(-7) },
  empty: { dtype: "float32", shape: [0, 3], data: new Float32Array(0) },
} as const;

test("what was encoded is decoded, bit for bit", () => {
  const file = encodeSafetensors(tensors, { note: "x" });
  expect(decodeSafetensors(file)).toEqual({ tensors, metadata: { note: "x" }, isSealed: true });
  // Files come as slices of larger buffers at any offset.
  const shifted = Buffer.concat([Buffer.from([1, 2, 3]), file]).subarray(3);
  expect(decodeSafetensors(shifted).tensors).toEqual(tensors);
});

test.each([0, 4, 20, -1])("a file cut at %i is recognized", (end) => {
  const file = encodeSafetensors(tensors, {});
  expect(() => decodeSafetensors(file.subarray(0, end))).toThrow(/truncated|checksum/);
});

test("a file of which any bit is another is recognized", () => {
  const file = encodeSafetensors(tensors, { note: "x" });
  const accepted: number[] = [];
  for (let bit = 0; bit < 8 * file.length; bit++) {
    const changed = file.slice();
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    try {
      // A file whose checksum cannot be found is as one of another program: its user decides.
      if (decodeSafetensors(changed).isSealed) accepted.push(bit);
    } catch {
      continue;
    }
  }
  expect(accepted).toEqual([]);
});

/** A file as other programs write them: without a checksum. */
function foreign(header: unknown, elementBytes: number): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + elementBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  return file;
}

const entry = (shape: unknown, data_offsets: unknown) => ({ dtype: "F32", shape, data_offsets });

test("a file of another program is read, and says that it has no checksum", () => {
  const { tensors, isSealed } = decodeSafetensors(foreign({ a: entry([2], [0, 8]) }, 8));
  expect(isSealed).toBe(false);
  expect(tensors["a"]?.data).toEqual(Float32Array.of(0, 0));
});

test.each([
  [{ a: entry([3], [0, 8]) }, 8, /"a" has 8 bytes, its shape \[3\] 12/],
  [{ a: entry([-2], [0, 8]) }, 8, /"a" has no shape/],
  [{ a: entry("2", [0, 8]) }, 8, /"a" has no shape/],
  [{ a: entry([2], [8, 0]) }, 8, /"a" has no offsets/],
  [{ a: entry([2], null) }, 8, /"a" has no offsets/],
  [{ a: entry([2], [0, 8]) }, 4, /truncated safetensors file: "a" is cut off/],
  [{ a: entry([2], [0, 8]) }, 12, /4 bytes belong to no tensor/],
  [{ a: entry([1], [0, 4]), b: entry([1], [0, 4]) }, 4, /"b" begins at 0, not 4/],
])("a header that does not fit its elements, case %#", (header, bytes, message) => {
  expect(() => decodeSafetensors(foreign(header, bytes))).toThrow(message);
});
