import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import { BATCH_NORM_STRATEGIES } from "../../../backends/backend.js";
import { models, resnet8 } from "../../../benchmarks/models/index.js";
import type { HostTensors } from "../../../pipelines/engine/index.js";
import { BATCH_NORM_EPSILON } from "../../../pipelines/network/batchNorm.js";
import { equalize } from "../../../pipelines/network/equalize.js";
import { foldBatchNorm, mergeParameters } from "../../../pipelines/network/foldBatchNorm.js";
import { forward } from "../../../pipelines/network/forward.js";
import type { Network } from "../../../algorithms/network.js";
import { initialParameters } from "../../../pipelines/network/parameters.js";
import { unquantized } from "../../../pipelines/network/quantizers.js";
import { hasAdders, normalValues, numbers } from "../../support.js";

beforeAll(() => tf.setBackend("cpu"));

const options = { inputShape: [8, 8, 1], classes: 4, width: 4 };

/** Parameters with statistics as a trained network has them, negative gammas included. */
export function trainedParameters(network: Network): HostTensors {
  return Object.fromEntries(
    Object.entries(initialParameters(network, 0)).map(([name, { shape, data }], i) => {
      const noise = normalValues(data.length, i, 0.3);
      const value = /gamma|beta|mean/.test(name)
        ? noise.map((v, j) => v + (data[j] ?? 0))
        : [...data];
      const positive = name.endsWith("variance") ? noise.map((v) => Math.abs(v) + 1) : value;
      return [name, { dtype: "float32", shape, data: Float32Array.from(positive) }];
    }),
  );
}

const images = () => tf.tensor(normalValues(256, 9), [4, 8, 8, 1]);

function logits(network: Network, parameters: HostTensors, input = images()): number[] {
  const tensors = Object.fromEntries(
    Object.entries(parameters).map(([name, { data, shape }]) => [
      name,
      tf.tensor(data, [...shape]),
    ]),
  );
  return numbers(
    forward(network, input, { parameters: tensors, training: false, quantize: unquantized }).logits,
  );
}

const folding = models.filter(
  (model) => model.defaultWidth <= 16 && !hasAdders(model.build(options)),
);

describe.each(folding)("$title", (model) => {
  const network = model.build(options);
  const parameters = trainedParameters(network);
  const expected = logits(network, parameters);
  const scale = Math.max(...expected.map(Math.abs));

  test.each(BATCH_NORM_STRATEGIES)(
    "strategy %i computes the same in evaluation with quantization off",
    (strategy) => {
      const folded = foldBatchNorm(network, strategy);
      const own = strategy === 0 ? mergeParameters(network, parameters) : parameters;
      logits(folded, own).forEach((logit, i) => {
        expect(Math.abs(logit - (expected[i] ?? NaN)) / scale).toBeLessThan(1e-5);
      });
    },
  );
});

describe("training forward of a convolution with batch norm", () => {
  const network: Network = {
    nodes: [
      { op: "input", name: "image", shape: [8, 8, 1] },
      {
        ...{ op: "conv2d" as const, name: "a", input: "image" },
        ...{ filters: 3, kernelSize: 3, stride: 1, depthwise: false },
      },
      { op: "batchNorm", name: "a.bn", input: "a" },
    ],
  };
  const parameters = trainedParameters(network);
  const tensors = () =>
    Object.fromEntries(
      Object.entries(parameters).map(([name, { data, shape }]) => [
        name,
        tf.tensor(data, [...shape]),
      ]),
    );
  const data = (name: string) => [...(parameters[name]?.data ?? [])];
  /** A quantizer that halves: what it is given and when shows in the output. */
  const halve = (_: string, x: tf.Tensor) => tf.mul(x, 0.5);
  const exact = () =>
    tf.conv2d(images() as tf.Tensor4D, tensors()["a/kernel"] as tf.Tensor4D, 1, "same");

  /** By the formulas of MQBench's table, one number at a time. */
  function expectedOutput(strategy: 1 | 2 | 3 | 4): number[] {
    const y = numbers(exact());
    const channels = 3;
    const column = (c: number) => y.filter((_, i) => i % channels === c);
    const mean = (list: number[]) => list.reduce((a, b) => a + b, 0) / list.length;
    return y.map((value, i) => {
      const c = i % channels;
      const [g = 0, b = 0] = [data("a.bn/gamma")[c], data("a.bn/beta")[c]];
      const mu = data("a.bn/mean")[c] ?? 0;
      const sd = Math.sqrt((data("a.bn/variance")[c] ?? 0) + BATCH_NORM_EPSILON);
      const m = mean(column(c));
      const batchSd = Math.sqrt(mean(column(c).map((v) => (v - m) ** 2)) + BATCH_NORM_EPSILON);
      switch (strategy) {
        case 1:
          return 0.5 * value * (g / sd) + b - (mu * g) / sd;
        case 2:
          return 0.5 * value * (g / batchSd) + b - (m * g) / batchSd;
        case 3:
          return 0.5 * value * (g / sd) * (sd / batchSd) + b - (m * g) / batchSd;
        case 4: {
          // Halved values have half the mean and deviation, so normalization undoes it.
          const half = Math.sqrt(0.25 * (batchSd ** 2 - BATCH_NORM_EPSILON) + BATCH_NORM_EPSILON);
          return (g * (0.5 * value - 0.5 * m)) / half + b;
        }
        default:
          return strategy satisfies never;
      }
    });
  }

  test.each([1, 2, 3, 4] as const)("strategy %i follows its formula", (strategy) => {
    const folded = foldBatchNorm(network, strategy);
    const { outputs, statistics } = forward(folded, images(), {
      parameters: tensors(),
      training: true,
      quantize: halve,
    });
    const expected = expectedOutput(strategy);
    numbers(outputs.get("a") as tf.Tensor).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i] ?? NaN, 3);
    });
    const moved = numbers(statistics["a.bn/mean"] ?? tf.zeros([0]));
    if (strategy === 1) expect(moved).toEqual([]);
    else {
      const batch = numbers(tf.mean(exact(), [0, 1, 2]));
      const factor = strategy === 4 ? 0.5 : 1; // 4 measures the quantized convolution
      moved.forEach((value, c) => {
        const old = data("a.bn/mean")[c] ?? NaN;
        expect(value).toBeCloseTo(0.9 * old + 0.1 * factor * (batch[c] ?? NaN), 4);
      });
    }
  });
});

describe("cross-layer equalization", () => {
  const network = foldBatchNorm(resnet8.build(options), 4);
  const parameters = trainedParameters(network);
  const equalized = equalize(network, parameters);

  test("does not change what the network computes", () => {
    const [before, after] = [logits(network, parameters), logits(network, equalized)];
    const scale = Math.max(...before.map(Math.abs));
    after.forEach((logit, i) => {
      expect(Math.abs(logit - (before[i] ?? NaN)) / scale).toBeLessThan(1e-4);
    });
  });

  test("gives both sides of each channel the same range", () => {
    const factor = (i: number) =>
      Math.abs(equalized["s0.0.a.bn/gamma"]?.data[i] ?? NaN) /
      Math.sqrt((equalized["s0.0.a.bn/variance"]?.data[i] ?? NaN) + BATCH_NORM_EPSILON);
    const first = equalized["s0.0.a/kernel"]?.data ?? [];
    const second = equalized["s0.0.b/kernel"]?.data ?? [];
    for (let channel = 0; channel < 4; channel++) {
      const makes = Math.max(
        ...[...first].filter((_, i) => i % 4 === channel).map((w) => Math.abs(w) * factor(channel)),
      );
      const reads = Math.max(
        ...[...second].filter((_, i) => Math.floor(i / 4) % 4 === channel).map(Math.abs),
      );
      expect(makes / reads).toBeCloseTo(1, 3);
    }
  });
});
