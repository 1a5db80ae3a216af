import { expect, test } from "vitest";
import { backends } from "../../../backends/index.js";
import { mobileNetV2, resnet8 } from "../../../benchmarks/models/index.js";
import { isWhole, partsOf } from "../../../benchmarks/stored/sensitivity.js";
import { foldBatchNorm, placeQuantizers } from "../../../pipelines/network/index.js";

test.each(backends.map((backend) => ({ backend, name: backend.name })))(
  "whole parts cover every quantizer of $name, and every layer has its weights apart",
  ({ backend }) => {
    for (const model of [resnet8, mobileNetV2]) {
      const network = foldBatchNorm(
        model.build({ inputShape: [28, 28, 1], classes: 10, width: 8 }),
        backend.batchNorm,
      );
      const { weights, activations } = backend.bitWidths;
      const placed = placeQuantizers(network, backend, {
        ...{ weights: weights.min, activations: activations.min },
      });
      const parts = partsOf(placed);
      const whole = new Set(parts.filter(isWhole).flatMap(({ sites }) => sites));
      expect([...whole].sort()).toEqual(placed.sites.map(({ id }) => id).sort());
      const layers = placed.sites.filter(({ role }) => role === "weight");
      const alone = parts.filter(
        ({ sites }) => sites.length === 1 && sites[0]?.endsWith("/kernel"),
      );
      expect(alone).toHaveLength(layers.length);
    }
  },
);
