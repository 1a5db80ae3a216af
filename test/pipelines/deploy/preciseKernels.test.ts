import { expect, test } from "vitest";
import { litert } from "../../../backends/litert.js";
import { stpu } from "../../../backends/stpu.js";
import { tensorrt } from "../../../backends/tensorrt.js";
import { tvm } from "../../../backends/tvm.js";
import { vitis } from "../../../backends/vitis.js";
import { mobileNetV2, resnet8 } from "../../../benchmarks/models/index.js";
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

test.each(
  [
    ...[litert, stpu, tvm, vitis].map((profile) => ({ model: resnet8, profile })),
    { model: mobileNetV2, profile: litert },
  ].map((on) => [on.model.name, on.profile.name, on] as const),
)("%s on %s is signed, and the same to the bit where it is made unsigned", async (...[, , on]) => {
  const frozen = frozenNetwork({ ...on, bits: 8, seed: 3, calm: 16 });
  expect(preciseKernels(frozen, ["fma"])).toBe("preciseSigned");
  expect(preciseKernels(frozen, ["avx2", "fma"])).toBe("preciseUnsigned");
  const bytes = exportOnnx(frozen, "n");
  const signed = await logitsOf(bytes, "preciseSigned");
  expect(new Set(signed).size).toBeGreaterThan(8);
  expect(await logitsOf(bytes, preciseKernels(frozen))).toEqual(signed);
});

test.each([
  ["all convolutions", { profile: tensorrt, model: resnet8 }],
  ["those before a sum", { profile: tvm, model: mobileNetV2 }],
])("where %s are of floats, a signed network stays signed", (_, on) => {
  expect(preciseKernels(frozenNetwork({ ...on, bits: 8, seed: 3 }))).toBe("preciseSigned");
});
