import { describe, expect, test } from "vitest";
import type { Algorithm } from "../../../algorithms/algorithm.js";
import { deepShift } from "../../../algorithms/deepShift.js";
import type { Network } from "../../../algorithms/network.js";
import { academic } from "../../../backends/academic.js";
import type { BackendProfile } from "../../../backends/backend.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freeze, isCodebook } from "../../../pipelines/freeze/index.js";
import {
  asDeployed,
  foldBatchNorm,
  initialParameters,
  placeQuantizers,
} from "../../../pipelines/network/index.js";
import { quantize } from "../../../pipelines/quantize/index.js";
import { preciseKernels } from "../../../pipelines/session.js";
import { agreementOf, evaluate } from "../../../pipelines/train/index.js";
import { deployedLogits } from "../../support.js";
import { dataset, engine, floatNetwork, hyperparameters } from "./toyNetwork.js";

interface Training {
  readonly algorithm: Algorithm;
  readonly profile: BackendProfile;
  readonly bits: { readonly weights: number; readonly activations: number };
  readonly network: Network;
}

/** From random parameters over a few steps to integers, and what the simulation gives. */
async function trained({ algorithm, profile, bits, network }: Training) {
  const { batchNorm } = profile;
  const quantized = placeQuantizers(foldBatchNorm(network, batchNorm), profile, bits);
  const checkpoint = initialParameters(network, 0);
  const { tensors } = await quantize(engine, {
    ...{ algorithm, floatNetwork: network, checkpoint, rewritten: network, quantized, dataset },
    ...{ batchNorm, hyperparameters, seed: 0 },
  });
  const frozen = await freeze(engine, quantized, { algorithm, tensors });
  const simulated = await evaluate(engine, quantized.network, {
    ...{ tensors, dataset },
    mode: (current) => asDeployed(algorithm, quantized, current),
  });
  return { quantized, frozen, simulated };
}

describe.each([
  { weights: 6, activations: 8 },
  { weights: 4, activations: 32 },
])("shift weights, W$weights A$activations", (bits) => {
  test("are trained, frozen and deployed as powers of two", async () => {
    const { quantized, frozen, simulated } = await trained({
      ...{ algorithm: deepShift, profile: academic, bits, network: floatNetwork },
    });
    const inner = quantized.sites.filter(
      ({ role, scheme }) => role === "weight" && scheme.bitWidth === bits.weights,
    );
    expect(inner).toHaveLength(8);
    for (const { id } of inner) {
      const { on, codes } = frozen.weights.get(id) ?? {};
      if (on === undefined || codes === undefined || !isCodebook(on)) throw new Error(id);
      expect([...on.levels].every((level) => Number.isInteger(Math.log2(Math.abs(level))))).toBe(
        true,
      );
      expect(new Set(codes).size).toBeGreaterThan(4);
    }
    const model = exportOnnx(frozen, "net");
    const deployed = await deployedLogits(model, dataset, preciseKernels(frozen));
    expect(agreementOf(simulated, deployed, 4).share).toBeGreaterThan(0.9);
  });
});
