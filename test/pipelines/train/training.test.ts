import * as tf from "#tf";
import { describe, expect, test } from "vitest";
import type { Algorithm } from "../../../algorithms/algorithm.js";
import { algorithms } from "../../../algorithms/index.js";
import { lsq } from "../../../algorithms/lsq.js";
import { minMax } from "../../../algorithms/minMax.js";
import { academic } from "../../../backends/academic.js";
import { litert } from "../../../backends/litert.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { accuracyOf, evaluate } from "../../../pipelines/train/evaluate.js";
import { initialParameters, unquantized } from "../../../pipelines/network/index.js";
import type { Network } from "../../../algorithms/network.js";
import { train } from "../../../pipelines/train/train.js";
import { installedEngines } from "../../engines.js";
import {
  dataset,
  hyperparameters,
  floatNetwork,
  onnx,
  pretrain,
  checkpoint,
  mobile,
  quantize,
  unsupported,
} from "../toyTraining.js";

const others = installedEngines.filter(([, { name }]) => name !== "onnxruntime");

describe("float training", () => {
  test("learns", async () => {
    const logits = await evaluate(onnx, floatNetwork, {
      tensors: checkpoint.tensors,
      dataset,
      mode: () => ({ quantize: unquantized }),
    });
    expect(accuracyOf(logits, dataset)).toBeGreaterThan(0.9);
    expect(checkpoint.losses.at(-1)).toBeLessThan((checkpoint.losses[0] ?? 0) / 2);
  });

  test("is bit-identical when repeated, and another seed is another training", async () => {
    const [again, other] = [await pretrain(onnx), await pretrain(onnx, floatNetwork, 4, 1)];
    expect(again.losses).toEqual(checkpoint.losses);
    expect(again.tensors).toEqual(checkpoint.tensors);
    expect(other.losses).not.toEqual(checkpoint.losses);
  });

  test.each([
    ["ResNet-8", floatNetwork, 4],
    ["MobileNetV2", mobile, 1],
  ])("of %s follows the same path on other engines", async (_, network, steps) => {
    const epochs = steps / 8;
    const a = await pretrain(onnx, network, epochs);
    expect(a.losses).toHaveLength(steps);
    for (const [title, engine] of others) {
      const b = await pretrain(engine, network, epochs);
      a.losses.forEach((loss, i) => {
        expect(loss, title).toBeCloseTo(b.losses[i] ?? NaN, 3);
      });
    }
  });

  test("stops at the first loss that is not finite and says where", async () => {
    const result = await train(onnx, {
      network: floatNetwork,
      tensors: initialParameters(floatNetwork, 0),
      dataset,
      hyperparameters,
      schedule: { epochs: 4, learningRate: 1e30 },
      seed: 0,
      name: "pretrain",
    });
    expect(result.divergedAt).toBeGreaterThan(0);
    expect(result.losses).toHaveLength((result.divergedAt ?? 0) + 1);
  });

  test("has not converged where only its last step leaves values that are not finite", async () => {
    const lone = { ...dataset, train: { ...dataset.train, count: 8 } };
    const result = await train(onnx, {
      network: floatNetwork,
      tensors: initialParameters(floatNetwork, 0),
      dataset: lone,
      hyperparameters,
      schedule: { epochs: 1, learningRate: Infinity },
      seed: 0,
      name: "pretrain",
    });
    expect(result.losses).toHaveLength(1);
    expect(result.losses[0]).toBeLessThan(10);
    expect(result.divergedAt).toBe(0);
  });

  test("needs at least one batch of images", async () => {
    const tiny = { ...dataset, train: { ...dataset.train, count: 4 } };
    const training = train(onnx, {
      network: floatNetwork,
      tensors: checkpoint.tensors,
      dataset: tiny,
      hyperparameters,
      schedule: hyperparameters.pretrain,
      seed: 0,
      name: "pretrain",
    });
    await expect(training).rejects.toThrow(/batch size 8 exceeds the 4 training images/);
  });
});

describe("quantized training", () => {
  test.each(
    algorithms.filter(
      (algorithm) =>
        algorithm.weight.learned.length + algorithm.activation.learned.length > 0 &&
        algorithm.reconstruction === undefined && // keeps what it starts with where that is best
        unsupported(algorithm, onnxruntime) === undefined,
    ),
  )("$name changes every value that it learns", async (algorithm) => {
    const { quantized, before, result } = await quantize(algorithm, onnxruntime);
    expect(result.divergedAt).toBeUndefined();
    for (const site of quantized.sites) {
      const quantizer = site.role === "weight" ? algorithm.weight : algorithm.activation;
      for (const name of quantizer.learned) {
        const key = `${site.id}:${name}`;
        // A zero point moves only when values are clipped, so it may stay for a few steps.
        if (key in before && !["zeroPoint", "beta", "lower"].includes(name)) {
          expect(result.tensors[key]?.data, key).not.toEqual(before[key]?.data);
        }
      }
    }
  });

  test.each(others)("starts on the same numbers on %s", async (_, engine) => {
    const [a, b] = [await quantize(lsq, academic), await quantize(lsq, academic, { engine })];
    // Later steps differ wherever float noise moves one value over a rounding border.
    expect(a.result.losses[0]).toBeCloseTo(b.result.losses[0] ?? NaN, 4);
  });

  test("runs an algorithm's phases in order, with their own losses and what they may change", async () => {
    const traced: string[] = [];
    const phased: Algorithm = {
      ...lsq,
      phases: [
        {
          name: "scales",
          share: 0.5,
          trains: ["quantizers"],
          loss: ({ logits, teacherOutput, quantizers }) => {
            traced.push(`${String(quantizers.size)} quantizers`);
            return tf.mean<tf.Scalar>(tf.squaredDifference(logits, teacherOutput("classifier")));
          },
        },
        { name: "weights", share: 0.5, trains: ["weights"] },
      ],
    };
    const { quantized, before, result } = await quantize(phased, academic);
    expect(traced).toEqual([`${String(quantized.sites.length)} quantizers`]); // recorded once
    expect(result.losses).toHaveLength(8);
    for (const name of ["stem/kernel", "stem/kernel:scale"]) {
      expect(result.tensors[name]?.data, name).not.toEqual(before[name]?.data);
    }
  });

  test("gives a loss the teacher's logits, also where the backend quantizes what the network ends with", async () => {
    const distilled: Algorithm = {
      ...lsq,
      phases: [
        {
          name: "distill",
          share: 1,
          trains: ["weights", "quantizers"],
          loss: ({ logits, teacherLogits }) =>
            tf.mean<tf.Scalar>(tf.squaredDifference(logits, teacherLogits())),
        },
      ],
    };
    const { quantized, result } = await quantize(distilled, litert);
    expect(quantized.network.nodes.at(-1)?.name).toBe("classifier/output");
    expect(result.losses.at(-1)).toBeLessThan(result.losses[0] ?? NaN);
  });

  test("can reconstruct a network block by block from what its float network gives", async () => {
    const byBlock: Algorithm = {
      ...lsq,
      phases: ({ nodes }) =>
        nodes
          .filter(({ op }) => op === "add")
          .map(({ name }, _, blocks) => ({
            name,
            share: 1 / blocks.length,
            trains: ["weights", "quantizers"] as const,
            only: (tensor: string) => tensor.startsWith(name.replace(".add", "")),
            loss: ({ output, teacherOutput }) =>
              tf.mean<tf.Scalar>(tf.squaredDifference(output(name), teacherOutput(name))),
          })),
    };
    const { before, result } = await quantize(byBlock, academic);
    const changed = Object.keys(before).filter(
      (name) => result.tensors[name]?.data.join() !== before[name]?.data.join(),
    );
    expect(changed).toEqual(
      expect.arrayContaining(["s0.0.a/kernel", "s1.0.d/kernel:scale", "s2.0.b/kernel"]),
    );
    expect(changed).not.toContain("stem/kernel");
    expect(changed).not.toContain("classifier/kernel");
  });

  test("takes over a network that the algorithm rewrote", async () => {
    const rewriting: Algorithm = {
      ...minMax,
      rewrite: (network: Network) => ({
        nodes: network.nodes.map((node) =>
          node.op === "relu" ? { ...node, op: "relu6" as const } : node,
        ),
      }),
    };
    const { quantized } = await quantize(rewriting, academic);
    expect(quantized.network.nodes.some(({ op }) => op === "relu")).toBe(false);
  });
});
