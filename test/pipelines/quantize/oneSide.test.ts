import { expect, test } from "vitest";
import { lsq } from "../../../algorithms/lsq.js";
import { minMax } from "../../../algorithms/minMax.js";
import { academic } from "../../../backends/academic.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freeze, freezeFloat } from "../../../pipelines/freeze/index.js";
import {
  asDeployed,
  costOfNetwork,
  foldBatchNorm,
  isLayer,
  placeQuantizers,
  unquantized,
} from "../../../pipelines/network/index.js";
import { quantize } from "../../../pipelines/quantize/index.js";
import { agreementOf, evaluate } from "../../../pipelines/train/index.js";
import { preciseKernels } from "../../../pipelines/deploy/index.js";
import { deployedLogits } from "../../support.js";
import { checkpoint, dataset, engine, floatNetwork, hyperparameters } from "./toyNetwork.js";

/** A network quantized, evaluated as it will be deployed, and frozen. */
async function made(
  algorithm: typeof minMax | typeof lsq,
  profile: typeof academic | typeof onnxruntime,
  bits: { readonly weights: number; readonly activations: number },
) {
  const quantized = placeQuantizers(foldBatchNorm(floatNetwork, profile.batchNorm), profile, bits);
  const { tensors } = await quantize(engine, {
    ...{ algorithm, floatNetwork, checkpoint, rewritten: floatNetwork, quantized, dataset },
    ...{ batchNorm: profile.batchNorm, hyperparameters, seed: 0 },
  });
  const logits = await evaluate(engine, quantized.network, {
    ...{ tensors, dataset },
    mode: (current) => asDeployed(algorithm, quantized, current),
  });
  const frozen = await freeze(engine, quantized, { algorithm, tensors });
  return { ...quantized, logits, frozen };
}

test("32 bits on both sides are the float network, to the bit, in simulation and file", async () => {
  const { sites, logits, frozen } = await made(minMax, academic, { weights: 32, activations: 32 });
  expect(sites).toEqual([]);
  const inFloat = await evaluate(engine, floatNetwork, {
    ...{ tensors: checkpoint, dataset },
    mode: () => ({ quantize: unquantized }),
  });
  expect(logits).toEqual(inFloat);
  expect(exportOnnx(frozen, "net")).toEqual(
    exportOnnx(freezeFloat(floatNetwork, checkpoint), "net"),
  );
});

for (const [name, profile, bits] of [
  ["weights", academic, { weights: 4, activations: 32 }],
  ["activations", academic, { weights: 32, activations: 4 }],
  ["weights", onnxruntime, { weights: 4, activations: 32 }],
] as const) {
  test(`${name} alone are quantized, trained and deployed on ${profile.name}`, async () => {
    const { network, sites, frozen, logits } = await made(lsq, profile, bits);
    const role = name === "weights" ? "weight" : "activation";
    expect(new Set(sites.map((site) => site.role))).toEqual(new Set([role]));
    const layers = network.nodes.filter(isLayer).length;
    expect(frozen.kernels.size).toBe(name === "weights" ? 0 : layers);
    const model = exportOnnx(frozen, "net");
    const deployed = await deployedLogits(model, dataset, preciseKernels(frozen));
    expect(agreementOf(logits, deployed, 4).largestDifference).toBeLessThan(1e-4);
    // Products of an operand in float, and one of 4 bits or, in first and last layer, 8.
    const { bitOps, macs } = costOfNetwork(network, sites);
    expect(bitOps / macs).toBeGreaterThan(4 * 32);
    expect(bitOps / macs).toBeLessThan(8 * 32);
  });
}
