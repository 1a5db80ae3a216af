import * as tf from "#tf";
import { expect, test } from "vitest";
import { float32, loadEngine } from "../../../pipelines/engine/index.js";

const engine = await loadEngine("onnxruntime");
const x = float32([1, -2, 3], [3]);

test("a kernel that cannot be recorded is named, with the place of the call", async () => {
  const step = ({ x: value }: Record<string, tf.Tensor>) => ({ y: tf.asinh(value as tf.Tensor) });
  await expect(engine.compile(step, { x })).rejects.toThrow(
    /kernel "Asinh", called at .*trace\.test\.ts/s,
  );
});

test("reading a value within a step is an error that says what to do", async () => {
  const step = ({ x: value }: Record<string, tf.Tensor>) => ({
    y: (value?.dataSync()[0] ?? 0) > 0 ? tf.ones([1]) : tf.zeros([1]),
  });
  await expect(engine.compile(step, { x })).rejects.toThrow(/must compute with tensors alone/);
});

test("inputs that do not fit are rejected by name", async () => {
  const step = await engine.compile(({ x: value }) => ({ y: tf.neg(value as tf.Tensor) }), { x });
  await expect(step.run({})).rejects.toThrow('step input "x" is missing');
  await expect(step.run({ x, z: x })).rejects.toThrow('step has no input "z"');
  await expect(step.run({ x: float32([1], [1]) })).rejects.toThrow(
    "must be float32 [3], got float32 [1]",
  );
  await step.release();
});

test("an input that no output needs may be there", async () => {
  const step = await engine.compile(({ x: value }) => ({ y: tf.neg(value as tf.Tensor) }), {
    x,
    unused: x,
  });
  const { y } = await step.run({ x, unused: x });
  expect([...(y?.data ?? [])]).toEqual([-1, 2, -3]);
  await step.release();
});

test("a step may return what it was given, and a constant", async () => {
  const step = await engine.compile(
    ({ x: value }) => ({ x: value as tf.Tensor, one: tf.scalar(1) }),
    { x },
  );
  const outputs = await step.run({ x });
  expect([...(outputs["x"]?.data ?? [])]).toEqual([1, -2, 3]);
  expect(outputs["one"]?.shape).toEqual([]);
  await step.release();
});
