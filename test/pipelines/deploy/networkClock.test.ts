import { describe, expect, test } from "vitest";
import { academic } from "../../../backends/academic.js";
import { backends } from "../../../backends/index.js";
import { mobileNetV2, resnet8, resnet8Adder } from "../../../benchmarks/models/index.js";
import { NetworkClock, preciseKernels } from "../../../pipelines/deploy/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { placeholders } from "../../../pipelines/freeze/index.js";
import { foldBatchNorm, placeQuantizers, withFilters } from "../../../pipelines/network/index.js";
import { deployedLogits, toyDataset } from "../../support.js";

const BITS = { weights: 8, activations: 8 };
const dataset = toyDataset(4);

describe("numbers that mean nothing", () => {
  test.each(
    backends.flatMap((backend) =>
      [resnet8, mobileNetV2, resnet8Adder].map(
        (model) => [model.name, backend.name, model, backend] as const,
      ),
    ),
  )("make a network that runs: %s on %s", async (_, __, model, backend) => {
    const network = model.build({ inputShape: dataset.shape, classes: 4, width: 4 });
    const { weights, activations } = backend.bitWidths;
    const quantized = placeQuantizers(foldBatchNorm(network, backend.batchNorm), backend, {
      weights: Math.max(4, weights.min),
      activations: Math.max(4, activations.min),
    });
    const frozen = placeholders(quantized);
    const bytes = exportOnnx(frozen, "placeholders");
    expect(exportOnnx(placeholders(quantized), "placeholders")).toEqual(bytes);
    const logits = await deployedLogits(bytes, dataset, preciseKernels(frozen));
    expect(logits).toHaveLength(16);
    expect(logits.every(Number.isFinite)).toBe(true);
  });
});

describe("a clock for networks", () => {
  const quantizedAt = (width: number) =>
    placeQuantizers(
      foldBatchNorm(resnet8.build({ inputShape: [16, 16, 3], classes: 4, width }), 1),
      academic,
      BITS,
    );

  test("is waited for, and says that a network of a hundred times the work takes longer", async () => {
    const clock = new NetworkClock();
    try {
      const narrow = quantizedAt(16);
      const times = [clock.microseconds(narrow), clock.microseconds(quantizedAt(160))];
      expect(times[0]).toBeGreaterThan(1);
      expect(times[1]).toBeGreaterThan(5 * (times[0] ?? NaN));
      const filters = { "s2.0.a": 1024 };
      expect(clock.microseconds(withFilters(narrow, filters))).toBeGreaterThan(
        1.5 * (times[0] ?? NaN),
      );
    } finally {
      await clock.close();
    }
  });

  test("that waited in vain takes no late answer for the next network's", async () => {
    const hasty = new NetworkClock(1);
    try {
      for (let i = 0; i < 3; i++)
        expect(() => hasty.microseconds(quantizedAt(16))).toThrow(/within 0\.001 s/);
    } finally {
      await hasty.close();
    }
  });

  test("says why a network does not run", async () => {
    const clock = new NetworkClock();
    try {
      const damaged = { model: Uint8Array.of(1, 2, 3), shape: [1, 8, 8] };
      expect(() => clock.microsecondsOf(damaged)).toThrow(
        /time could not be measured: .*protobuf/i,
      );
      expect(clock.microseconds(quantizedAt(4))).toBeGreaterThan(1);
    } finally {
      await clock.close();
    }
  });
});
