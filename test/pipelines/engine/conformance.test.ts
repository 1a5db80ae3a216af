import * as tf from "#tf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  float32,
  loadEngine,
  sizeOf,
  type Engine,
  type HostTensors,
} from "../../../pipelines/engine/index.js";
import { installedEngines, reportMissingEngines } from "../../engines.js";
import { kernelCases, values, type KernelCase } from "./kernelCases.js";

const reference = await loadEngine("tfjs");

reportMissingEngines();
for (const [title, engine] of installedEngines) {
  if (engine.name === "tfjs") continue;
  describe(`engine ${title} computes as tfjs does:`, () => {
    test.each(kernelCases.map((entry) => [entry.name, entry] as const))("%s", async (_, entry) => {
      const property = fc.asyncProperty(entry.shapes, fc.integer(), async (shapes, seed) => {
        await compare(engine, entry, shapes, seed);
      });
      await fc.assert(property, { numRuns: 10, seed: 7 });
    });
  });
}

async function compare(
  engine: Engine,
  { compute, gradient, domain = (v) => v }: KernelCase,
  shapes: readonly (readonly number[])[],
  seed: number,
): Promise<void> {
  const inputs = Object.fromEntries(
    shapes.map((shape, i) => [
      `x${String(i)}`,
      float32(values(sizeOf(shape), seed + i).map(domain), shape),
    ]),
  );
  const step = (tensors: Readonly<Record<string, tf.Tensor>>) => {
    const operands = Object.values(tensors);
    const y = compute(...operands);
    if (gradient === false) return { y };
    // Each element of y gets another weight, so that no gradient hides behind a symmetric sum.
    const weighted = (...xs: tf.Tensor[]) => {
      const value = compute(...xs);
      const weights = tf.tensor(values(value.size, 11), value.shape);
      return tf.sum<tf.Scalar>(tf.mul(value, weights));
    };
    const gradients = tf.grads(weighted)(operands);
    return { y, ...Object.fromEntries(gradients.map((g, i) => [`dx${String(i)}`, g])) };
  };
  const expected = await run(reference, step, inputs);
  const actual = await run(engine, step, inputs);
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  for (const [name, tensor] of Object.entries(expected)) {
    expect(actual[name]?.shape, name).toEqual(tensor.shape);
    const scale = Math.max(1, ...tensor.data.map(Math.abs).filter(Number.isFinite));
    tensor.data.forEach((value, i) => {
      const got = actual[name]?.data[i] ?? NaN;
      const equal = Object.is(got, value) || Math.abs(got - value) <= 2e-5 * scale;
      if (!equal)
        expect.fail(
          `${name}[${String(i)}] of [${tensor.shape.join()}]: ${String(got)}, tfjs computes ${String(value)}`,
        );
    });
  }
}

async function run(
  engine: Engine,
  step: Parameters<Engine["compile"]>[0],
  inputs: HostTensors,
): Promise<HostTensors> {
  const compiled = await engine.compile(step, inputs);
  const outputs = await compiled.run(inputs);
  await compiled.release();
  return outputs;
}
