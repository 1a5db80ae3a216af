import * as tf from "#tf";
import { describe, expect, test } from "vitest";
import { float32, loadEngine, type HostTensors } from "../../../pipelines/engine/index.js";
import { evaluate } from "../../../pipelines/train/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freezeFloat } from "../../../pipelines/freeze/index.js";
import { forward } from "../../../pipelines/network/forward.js";
import { featureShapes } from "../../../pipelines/network/featureShapes.js";
import type { Network, NetworkNode } from "../../../algorithms/network.js";
import { initialParameters } from "../../../pipelines/network/parameters.js";
import { unquantized } from "../../../pipelines/network/quantizers.js";
import { installedEngines } from "../../engines.js";
import { deployedLogits, normalValues, numbers, toyDataset } from "../../support.js";

const dataset = toyDataset(16);
const onnx = await loadEngine("onnxruntime");

/** Every operator that models of large images and rewrites bring in. */
const network: Network = {
  nodes: [
    { op: "input", name: "image", shape: [8, 8, 1] },
    {
      ...{ op: "conv2d" as const, name: "stem", input: "image", filters: 6, kernelSize: 7 },
      ...{ stride: 2, depthwise: false, bias: true },
    },
    { op: "relu", name: "stem.relu", input: "stem" },
    { op: "maxPool", name: "pooled", input: "stem.relu", size: 3, stride: 2 },
    { op: "permuteChannels", name: "moved", input: "pooled", order: [3, 4, 5, 0, 1, 2] },
    {
      ...{ op: "conv2d" as const, name: "grouped", input: "moved", filters: 9, kernelSize: 3 },
      ...{ stride: 1, depthwise: false, groups: 3 },
    },
    { op: "globalAveragePool", name: "pool", input: "grouped" },
    { op: "dense", name: "classifier", input: "pool", units: 4 },
  ],
};
const parameters: HostTensors = {
  ...initialParameters(network, 3),
  "stem/bias": float32([0.5, -0.2, 0.1, 0.3, -0.4, 0.2], [6]),
};

describe("pooling, permutation, groups and biases", () => {
  test("are the same in simulation and in the exported network", async () => {
    const simulated = await evaluate(onnx, network, {
      tensors: parameters,
      dataset,
      mode: () => ({ quantize: unquantized }),
    });
    const model = exportOnnx(freezeFloat(network, parameters), "float");
    const deployed = await deployedLogits(model, dataset, "shipped");
    simulated.forEach((logit, i) => {
      expect(logit).toBeCloseTo(deployed[i] ?? NaN, 4);
    });
  });

  test("have the same gradients on all engines", async () => {
    const images = float32(normalValues(128, 5), [2, 8, 8, 1]);
    const names = ["stem/kernel", "stem/bias", "grouped/kernel"];
    const step = ({ images: x, ...current }: Record<string, tf.Tensor>) => {
      const loss = (...trained: tf.Tensor[]): tf.Scalar => {
        const moved = Object.fromEntries(names.map((n, i) => [n, trained[i] as tf.Tensor]));
        const { logits } = forward(network, x as tf.Tensor, {
          parameters: { ...current, ...moved },
          training: true,
          quantize: unquantized,
        });
        return tf.sum<tf.Scalar>(tf.square(logits));
      };
      const gradients = tf.grads(loss)(names.map((name) => current[name] as tf.Tensor));
      return Object.fromEntries(names.map((name, i) => [name, gradients[i] as tf.Tensor]));
    };
    const results = [];
    for (const [, engine] of installedEngines) {
      const compiled = await engine.compile(step, { images, ...parameters });
      results.push(await compiled.run({ images, ...parameters }));
      await compiled.release();
    }
    for (const name of names) {
      const [a, ...others] = results.map((result) => result[name]?.data ?? new Float32Array());
      const size = Math.max(...(a ?? []).map(Math.abs));
      expect(others.length).toBeGreaterThan(0);
      a?.forEach((value, i) => {
        for (const other of others)
          expect(Math.abs(value - (other[i] ?? NaN)) / size).toBeLessThan(1e-4);
      });
    }
  });

  test("max pooling takes the largest of each window, padding never", async () => {
    await tf.setBackend("cpu");
    const pool: Network = {
      nodes: [
        { op: "input", name: "image", shape: [4, 4, 1] },
        { op: "maxPool", name: "pool", input: "image", size: 3, stride: 2 },
      ],
    };
    const x = Array.from({ length: 16 }, (_, i) => -1 - ((i * 7) % 16)); // all negative
    const { logits } = forward(pool, tf.tensor(x, [1, 4, 4, 1]), {
      parameters: {},
      training: false,
      quantize: unquantized,
    });
    const window = (row: number, column: number) => {
      const inside = [-1, 0, 1].flatMap((dy) =>
        [-1, 0, 1].map((dx) => [2 * row + dy, 2 * column + dx] as const),
      );
      return Math.max(
        ...inside
          .filter(([y, z]) => y >= 0 && z >= 0 && y < 4 && z < 4)
          .map(([y, z]) => x[y * 4 + z] ?? NaN),
      );
    };
    expect(numbers(logits)).toEqual([window(0, 0), window(0, 1), window(1, 0), window(1, 1)]);
  });
});

describe("malformed nodes are named", () => {
  const [image] = network.nodes as [NetworkNode];
  test.each([
    [
      { op: "permuteChannels", name: "p", input: "image", order: [0, 0] } as const,
      /"p" does not take each channel once/,
    ],
    [
      { op: "permuteChannels", name: "p", input: "image", order: [1, 0] } as const,
      /orders 2 of 1 channels/,
    ],
    [
      {
        ...({ op: "conv2d", name: "c", input: "image", filters: 4, kernelSize: 1 } as const),
        ...{ stride: 1, depthwise: false, groups: 2 },
      },
      /splits 1 channels and 4 filters into 2 groups/,
    ],
  ] as [NetworkNode, RegExp][])("%j", (node, message) => {
    expect(() => featureShapes({ nodes: [image, node] })).toThrow(message);
  });
});
