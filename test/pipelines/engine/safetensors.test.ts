import { expect, test } from "vitest";
import { decodeSafetensors, encodeSafetensors } from "../../../pipelines/engine/safetensors.js";

const tensors = {
  a: { dtype: "float32", shape: [2, 1], data: Float32Array.of(1.5, -0) },
  "b:ü": { dtype: "int32", shape: [], data: Int32Array.of(-7) },
  empty: { dtype: "float32", shape: [0, 3], data: new Float32Array(0) },
} as const;

test("what was encoded is decoded, bit for bit", () => {
  const file = encodeSafetensors(tensors, { note: "x" });
  expect(decodeSafetensors(file)).toEqual({ tensors, metadata: { note: "x" } });
  // Files come as slices of larger buffers at any offset.
  const shifted = Buffer.concat([Buffer.from([1, 2, 3]), file]).subarray(3);
  expect(decodeSafetensors(shifted).tensors).toEqual(tensors);
});

test.each([0, 4, 20, -1])("a file cut at %i is recognized", (end) => {
  const file = encodeSafetensors(tensors, {});
  expect(() => decodeSafetensors(file.subarray(0, end))).toThrow(/truncated/);
});
