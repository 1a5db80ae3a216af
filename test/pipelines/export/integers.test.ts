import fc from "fast-check";
import * as ort from "../../../pipelines/onnxruntime.js";
import { describe, expect, test } from "vitest";
import { acl } from "../../../backends/acl.js";
import { backends } from "../../../backends/index.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { snpe } from "../../../backends/snpe.js";
import { mobileNetV2, resnet8 } from "../../../benchmarks/models/index.js";
import { exportOnnx } from "../../../pipelines/export/onnx/exportOnnx.js";
import { exportIntegers } from "../../../pipelines/export/integers/exportIntegers.js";
import { loadModel, preciseKernels, processorFeatures } from "../../../pipelines/deploy/index.js";
import type { FrozenNetwork } from "../../../pipelines/freeze/index.js";
import type { Kernels } from "../../../pipelines/session.js";
import { frozenNetwork } from "../frozenNetwork.js";

const images = Float32Array.from({ length: 40 * 64 }, (_, i) => Math.sin(i * 1.7) * 2);
async function logitsOf(bytes: Uint8Array, kernels: Kernels = "shipped"): Promise<number[]> {
  const session = await loadModel(bytes, kernels);
  const { logits } = await session.run({ image: new ort.Tensor("float32", images, [40, 1, 8, 8]) });
  await session.release();
  return Array.from(logits?.data as Float32Array);
}

/** With the kernels that compute the same on every processor. */
const quantizedLogits = (frozen: FrozenNetwork): Promise<number[]> =>
  logitsOf(exportOnnx(frozen, "plain"), preciseKernels(frozen));

/** Whether onnxruntime fuses multiply-adds of residual sums, as the reference does: all since 2013, but not elsewhere. */
const fuses = process.arch === "arm64" || processorFeatures().includes("fma");

describe("networks", () => {
  test("have on the onnxruntime profile every logit of onnxruntime, to the bit", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(resnet8, mobileNetV2),
        fc.integer({ min: 2, max: 8 }),
        fc.integer(),
        async (model, bits, seed) => {
          const frozen = frozenNetwork({ profile: onnxruntime, bits, seed, model });
          const integers = exportIntegers(frozen, "integers", onnxruntime.arithmetic);
          const [found, expected] = [await logitsOf(integers), await quantizedLogits(frozen)];
          if (fuses) expect(found).toEqual(expected);
          const others = found.filter((logit, i) => logit !== expected[i]);
          expect(others.length / found.length).toBeLessThan(0.05);
        },
      ),
      { numRuns: 20, seed: 6 },
    );
  });

  test("multiply integers where float32 does not hold every sum, and have the same logits", async () => {
    const narrow = frozenNetwork({ profile: onnxruntime, bits: 8, seed: 1, model: resnet8 });
    const wide = frozenNetwork({
      profile: onnxruntime,
      bits: 8,
      seed: 1,
      model: resnet8,
      width: 64,
    });
    const products = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
    const { arithmetic } = onnxruntime;
    expect(products(exportIntegers(narrow, "n", arithmetic))).not.toContain("ConvInteger");
    const integers = exportIntegers(wide, "n", arithmetic);
    expect(products(integers)).toContain("ConvInteger");
    expect(await logitsOf(integers)).toEqual(await quantizedLogits(wide));
  });

  test.each(backends.filter(({ arithmetic }) => arithmetic !== undefined))(
    "compute in the integers of $name what they mean in real numbers",
    async (profile) => {
      const frozen = frozenNetwork({ profile, bits: 8, seed: 11, model: resnet8 });
      const { arithmetic } = profile;
      if (arithmetic === undefined) throw new Error("no arithmetic");
      const found = await logitsOf(exportIntegers(frozen, "integers", arithmetic));
      const expected = await quantizedLogits(frozen);
      const reach = Math.max(...expected.map(Math.abs));
      // Roundings differ by a step here and there; a wrong zero point or scale would be far off.
      const errors = found.map((logit, i) => Math.abs(logit - (expected[i] ?? NaN)) / reach);
      expect(errors.reduce((a, b) => a + b) / errors.length).toBeLessThan(0.05);
    },
  );

  test.each([4, 64])(
    "subtract the zero point of each filter in a network of width %i as in real numbers",
    async (width) => {
      const frozen = frozenNetwork({ profile: acl, bits: 8, seed: 1, model: resnet8, width });
      const bytes = exportIntegers(frozen, "n", acl.arithmetic);
      expect(Buffer.from(bytes).toString("latin1")).not.toContain("QLinearConv");
      const [found, expected] = [await logitsOf(bytes), await quantizedLogits(frozen)];
      const reach = Math.max(...expected.map(Math.abs));
      found.forEach((logit, i) => {
        expect(Math.abs(logit - (expected[i] ?? NaN)) / reach).toBeLessThan(0.02);
      });
    },
  );

  test("are refused where a layer's steps are not equal", () => {
    const nnie = backends.find(({ name }) => name === "nnie");
    if (nnie === undefined) throw new Error("no profile nnie");
    const frozen = frozenNetwork({ profile: nnie, bits: 8, seed: 1, model: resnet8 });
    expect(() => exportIntegers(frozen, "n", snpe.arithmetic)).toThrow(/steps are not equal/);
  });
});
