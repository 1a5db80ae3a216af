// What every engine promises beside its kernels.
import * as tf from "#tf";
import { describe, expect, test } from "vitest";
import {
  float32,
  loadEngine,
  type Engine,
  type HostTensors,
  type StepFunction,
} from "../../../pipelines/engine/index.js";
import { probeBlocked } from "../../../pipelines/engine/probe.js";
import { checkByTinyStep } from "../../../pipelines/engine/tinyStep.js";
import { installedEngines, reportMissingEngines, tfjsNode } from "../../engines.js";
import { normalValues } from "../../support.js";

reportMissingEngines();

async function run(engine: Engine, step: StepFunction, inputs: HostTensors): Promise<HostTensors> {
  const compiled = await engine.compile(step, inputs);
  const outputs = await compiled.run(inputs);
  await compiled.release();
  return outputs;
}

describe.each(installedEngines)("%s", (_, engine) => {
  test("trains a known step with explicit padding", async () => {
    await expect(checkByTinyStep(engine)).resolves.toBeUndefined();
  });

  test("is found out when it trains wrong", async () => {
    const wrong: Engine = {
      ...engine,
      compile: (step, signature) =>
        engine.compile(({ image, ...kernels }) => {
          return step({ ...kernels, ...(image && { image: tf.add(image, 1) }) });
        }, signature),
    };
    await expect(checkByTinyStep(wrong)).rejects.toThrow(
      /loss\[0\] of a known step is .*, not 194/,
    );
  });

  test("wants float32 or int32 of a step, not bool", async () => {
    const step: StepFunction = ({ x }) => ({ positive: tf.greater(x as tf.Tensor, 0) });
    await expect(run(engine, step, { x: float32([-1, 2], [2]) })).rejects.toThrow(
      'step output "positive" is bool; cast it to float32 or int32',
    );
  });

  test("gives back what a step only hands on, in memory of its own", async () => {
    const x = float32([1, 2], [2]);
    const { same } = await run(engine, ({ x: given }) => ({ same: given as tf.Tensor }), { x });
    expect(same?.data).toEqual(x.data);
    expect(same?.data.buffer).not.toBe(x.data.buffer);
  });

  test("adds a batch up as exactly as its size asks", async () => {
    const [count, channels] = [64 * 28 * 28, 8];
    const values = normalValues(count * channels, 3).map((value) => Math.fround(value + 4));
    const exact = new Float64Array(channels);
    values.forEach((value, i) => (exact[i % channels] = (exact[i % channels] ?? 0) + value));
    const { sum, mean } = await run(
      engine,
      ({ x }) => ({
        sum: tf.sum(x as tf.Tensor, [0, 1, 2]),
        mean: tf.mean(x as tf.Tensor, [0, 1, 2]),
      }),
      { x: float32(values, [64, 28, 28, channels]) },
    );
    exact.forEach((value, i) => {
      const errors = [(sum?.data[i] ?? NaN) / value, ((mean?.data[i] ?? NaN) * count) / value];
      // onnxruntime adds rows of this layout one by one (a network's images lie otherwise in it), the portable
      // engine in long runs.
      const limit = { onnxruntime: 2e-5, portable: 1e-6 }[engine.name as string] ?? 5e-7;
      for (const quotient of errors) expect(Math.abs(quotient - 1)).toBeLessThan(limit);
    });
  });
});

describe.runIf(tfjsNode !== undefined)("tfjs-node", () => {
  const engine = tfjsNode as Engine;

  test("says what its bits depend on", () => {
    expect(engine.version).toMatch(/^4\.\d+\.\d+, TensorFlow 2\.\d+\.\d+, (1 thread|GPU)/);
  });

  test("gives all memory back", async () => {
    const step: StepFunction = ({ x }) => {
      const loss = (y: tf.Tensor): tf.Scalar => tf.sum<tf.Scalar>(tf.mul(tf.relu(y), [1, 2, 3]));
      const { value, grads } = tf.valueAndGrads((...[y]: tf.Tensor[]) => loss(y as tf.Tensor))([
        x as tf.Tensor,
      ]);
      return { value, gradient: grads[0] as tf.Tensor };
    };
    const inputs = { x: float32([-1, 2, 3], [3]) };
    await run(engine, step, inputs);
    const before = tf.memory().numTensors;
    const { gradient } = await run(engine, step, inputs);
    expect([...(gradient?.data ?? [])]).toEqual([0, 2, 3]);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("the choice of onnxruntime's lowering", () => {
  test("can be forced, and is known by name", async () => {
    expect((await loadEngine("onnxruntime", "standard")).lowering).toBe("standard");
    const isBlocked = (await probeBlocked()) !== undefined;
    expect((await loadEngine("onnxruntime", "auto")).lowering).toMatch(
      isBlocked ? /^blocked: / : /^standard$/,
    );
  });

  test("is none for other engines", async () => {
    await expect(loadEngine("tfjs", "blocked")).rejects.toThrow(/engine "tfjs" has no lowerings/);
  });
});
