import { expect, test } from "vitest";
import { litert } from "../../../backends/litert.js";
import { stpu } from "../../../backends/stpu.js";
import { tensorrt } from "../../../backends/tensorrt.js";
import { tvm } from "../../../backends/tvm.js";
import { vitis } from "../../../backends/vitis.js";
import {
  mobileNetV2,
  NetworkBuilder,
  resnet8,
  type Model,
} from "../../../benchmarks/models/index.js";
import { infer, loadModel, preciseKernels } from "../../../pipelines/deploy/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import * as ort from "../../../pipelines/onnxruntime.js";
import type { Kernels } from "../../../pipelines/session.js";
import { frozenNetwork } from "../frozenNetwork.js";

const COUNT = 40;
const images = new ort.Tensor(
  "float32",
  Float32Array.from({ length: COUNT * 64 }, (_, i) => Math.sin(i * 1.7) * 2),
  [COUNT, 1, 8, 8],
);

async function logitsOf(bytes: Uint8Array, kernels: Kernels): Promise<number[]> {
  const session = await loadModel(bytes, kernels);
  const logits = await infer(session, images);
  await session.release();
  return Array.from(logits);
}

const chain: Pick<Model, "build"> = {
  build({ inputShape, classes, width }) {
    const net = new NetworkBuilder();
    const layers = ["a", "b", "c", "d"];
    const like = { filters: width, kernelSize: 3, activation: "relu" } as const;
    const last = layers.reduce(
      (x, layer) => net.convolution(layer, x, like),
      net.input(inputShape),
    );
    return net.classifier(last, classes);
  },
};

test.each([litert, stpu].map((profile) => [profile.name, profile] as const))(
  "a chain of convolutions on %s is made unsigned with the same bits",
  async (_, profile) => {
    const frozen = frozenNetwork({ profile, model: chain, bits: 8, seed: 3, calm: 4 });
    expect(preciseKernels(frozen)).toBe("preciseUnsigned");
    const bytes = exportOnnx(frozen, "n");
    const found = await logitsOf(bytes, "preciseUnsigned");
    expect(new Set(found).size).toBeGreaterThan(8);
    expect(found).toEqual(await logitsOf(bytes, "preciseSigned"));
  },
);

test.each(
  [
    ...[litert, stpu, tvm, vitis].map((profile) => ({ model: resnet8, profile })),
    { model: mobileNetV2, profile: litert },
  ].map((on) => [on.model.name, on.profile.name, on] as const),
)(
  "%s on %s is made unsigned with the same values, but for ties in its sums",
  async (...[, , on]) => {
    const frozen = frozenNetwork({ ...on, bits: 8, seed: 3, calm: 16 });
    expect(preciseKernels(frozen)).toBe("preciseUnsigned");
    const bytes = exportOnnx(frozen, "n");
    const found = await logitsOf(bytes, "preciseUnsigned");
    const expected = await logitsOf(bytes, "preciseSigned");
    expect(new Set(found).size).toBeGreaterThan(8);
    const others = found.filter((logit, i) => logit !== expected[i]);
    expect(others.length / found.length).toBeLessThan(0.05);
  },
);

test.each([
  ["all convolutions", { profile: tensorrt, model: resnet8 }],
  ["those before a sum", { profile: tvm, model: mobileNetV2 }],
])("where %s are of floats, a signed network stays signed", (_, on) => {
  expect(preciseKernels(frozenNetwork({ ...on, bits: 8, seed: 3 }))).toBe("preciseSigned");
});
