import { expect, test } from "vitest";
import type { Algorithm } from "../../../algorithms/algorithm.js";
import { lsq } from "../../../algorithms/lsq.js";
import { magnitudePruning } from "../../../algorithms/magnitudePruning.js";
import { twoFourPruning } from "../../../algorithms/twoFourPruning.js";
import { academic } from "../../../backends/academic.js";
import { tvm } from "../../../backends/tvm.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import type { BackendProfile } from "../../../backends/backend.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freeze, sparsityOf } from "../../../pipelines/freeze/index.js";
import { asDeployed, foldBatchNorm, placeQuantizers } from "../../../pipelines/network/index.js";
import { quantize } from "../../../pipelines/quantize/index.js";
import { preciseKernels } from "../../../pipelines/deploy/index.js";
import { agreementOf, evaluate } from "../../../pipelines/train/index.js";
import { deployedLogits } from "../../support.js";
import {
  checkpoint,
  dataset,
  engine,
  floatNetwork,
  hyperparameters as short,
} from "./toyNetwork.js";

const hyperparameters = { ...short, quantizedTraining: { epochs: 2, learningRate: 0.01 } };

async function trained(algorithm: Algorithm, profile: BackendProfile) {
  const { batchNorm } = profile;
  const quantized = placeQuantizers(foldBatchNorm(floatNetwork, batchNorm), profile, {
    ...{ weights: 4, activations: 4 },
  });
  const { tensors, losses } = await quantize(engine, {
    ...{ algorithm, floatNetwork, checkpoint, rewritten: floatNetwork, quantized, dataset },
    ...{ batchNorm, hyperparameters, seed: 0 },
  });
  return { quantized, tensors, losses, algorithm };
}

test("density 1 trains as LSQ does, to the bit", async () => {
  const whole = { ...magnitudePruning, ...magnitudePruning.atDensity(1) };
  const [pruned, plain] = [await trained(whole, academic), await trained(lsq, academic)];
  expect(pruned.losses).toEqual(plain.losses);
  for (const [name, { data }] of Object.entries(plain.tensors))
    expect(pruned.tensors[name]?.data, name).toEqual(data);
});

for (const profile of [academic, onnxruntime, tvm]) {
  test(`a pruned network is trained, frozen and deployed on ${profile.name}`, async () => {
    const sparse = { ...magnitudePruning, ...magnitudePruning.atDensity(0.2) };
    const { quantized, tensors, algorithm } = await trained(sparse, profile);
    const masks = Object.entries(tensors).filter(([name]) => name.endsWith(":mask"));
    const kept = masks.flatMap(([, { data }]) => [...data]).filter((m) => m === 1).length;
    const frozen = await freeze(engine, quantized, { algorithm, tensors });
    const { weights, nonzero } = sparsityOf(frozen);
    expect(kept).toBe(Math.round(0.2 * weights));
    // Some of those that stay round to 0.
    expect(nonzero).toBeLessThanOrEqual(kept);
    expect(nonzero).toBeGreaterThan(kept / 2);
    const simulated = await evaluate(engine, quantized.network, {
      ...{ tensors, dataset },
      mode: (current) => asDeployed(algorithm, quantized, current),
    });
    const model = exportOnnx(frozen, "net");
    const deployed = await deployedLogits(model, dataset, preciseKernels(frozen));
    expect(agreementOf(simulated, deployed, 4).share).toBeGreaterThan(0.8);
  });
}

test("a 2:4 network is stored as one where its layers allow it", async () => {
  const { quantized, tensors, algorithm } = await trained(twoFourPruning, onnxruntime);
  const frozen = await freeze(engine, quantized, { algorithm, tensors });
  const { weights, nonzero, format, storedBytes } = sparsityOf(frozen);
  expect(nonzero).toBeLessThan(0.56 * weights); // the first layer reads one channel
  expect(["2:4", "bitmap"]).toContain(format);
  expect(storedBytes).toBeLessThan(0.8 * weights);
});
