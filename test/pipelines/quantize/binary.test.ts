import { expect, test } from "vitest";
import type { Algorithm } from "../../../algorithms/algorithm.js";
import { bnn } from "../../../algorithms/bnn.js";
import { dorefa } from "../../../algorithms/dorefa.js";
import { ttq } from "../../../algorithms/ttq.js";
import { twn } from "../../../algorithms/twn.js";
import { xnorNet } from "../../../algorithms/xnorNet.js";
import { academic } from "../../../backends/academic.js";
import type { BackendProfile } from "../../../backends/backend.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freeze, isCodebook } from "../../../pipelines/freeze/index.js";
import { asDeployed, foldBatchNorm, placeQuantizers } from "../../../pipelines/network/index.js";
import { quantize } from "../../../pipelines/quantize/index.js";
import { preciseKernels } from "../../../pipelines/deploy/index.js";
import { agreementOf, evaluate } from "../../../pipelines/train/index.js";
import { deployedLogits } from "../../support.js";
import { checkpoint, dataset, engine, floatNetwork, hyperparameters } from "./toyNetwork.js";

const CASES: readonly (readonly [Algorithm, BackendProfile, number, number])[] = [
  [bnn, academic, 1, 1],
  [xnorNet, academic, 1, 1],
  [xnorNet, onnxruntime, 1, 32],
  [dorefa, academic, 1, 1],
  [twn, onnxruntime, 2, 8],
  [ttq, academic, 2, 32],
];

for (const [algorithm, profile, weights, activations] of CASES) {
  const name = `${algorithm.name} on ${profile.name}, W${String(weights)}A${String(activations)}`;
  test(`${name}: few levels from training to the runtime`, async () => {
    const { batchNorm } = profile;
    const bits = { weights, activations };
    const rewritten = algorithm.rewrite?.(floatNetwork, bits) ?? floatNetwork;
    const quantized = placeQuantizers(foldBatchNorm(rewritten, batchNorm), profile, bits);
    const { tensors } = await quantize(engine, {
      ...{ algorithm, floatNetwork, checkpoint, rewritten, quantized, dataset },
      ...{ batchNorm, hyperparameters, seed: 0 },
    });
    const frozen = await freeze(engine, quantized, { algorithm, tensors });
    const inner = quantized.sites.filter(
      ({ role, scheme }) => role === "weight" && scheme.bitWidth === weights,
    );
    expect(inner.length).toBeGreaterThan(5);
    for (const { id } of inner) {
      const { on, codes } = frozen.weights.get(id) ?? {};
      if (on === undefined || codes === undefined) throw new Error(`${id} is not frozen`);
      const allowed = isCodebook(on) ? [0, 1, 2] : weights === 1 ? [-1, 1] : [-1, 0, 1];
      expect([...new Set(codes)].toSorted((a, b) => a - b)).toEqual(allowed);
    }
    const simulated = await evaluate(engine, quantized.network, {
      ...{ tensors, dataset },
      mode: (current) => asDeployed(algorithm, quantized, current),
    });
    const model = exportOnnx(frozen, "net");
    const deployed = await deployedLogits(model, dataset, preciseKernels(frozen));
    expect(agreementOf(simulated, deployed, 4).share).toBeGreaterThan(0.8);
  });
}
