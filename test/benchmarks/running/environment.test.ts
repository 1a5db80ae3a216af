import * as tf from "#tf";
import { expect, test } from "vitest";
import { describeEnvironment } from "../../../benchmarks/running/index.js";

test("the versions of engines are told without loading TensorFlow", async () => {
  const { engines } = await describeEnvironment();
  expect(engines["onnxruntime"]).toMatch(/^\d+\.\d+\.\d+$/);
  expect(engines["tfjs"]).toBe(tf.version_core);
  expect(tf.findBackendFactory("tensorflow") as unknown).toBeNull();
});
