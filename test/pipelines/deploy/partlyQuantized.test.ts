import { describe, expect, test } from "vitest";
import { minMax } from "../../../algorithms/minMax.js";
import { academic } from "../../../backends/academic.js";
import { resnet8 } from "../../../benchmarks/models/index.js";
import { PartlyQuantized, type Behavior } from "../../../pipelines/deploy/index.js";
import { loadEngine } from "../../../pipelines/engine/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { dequantized, freeze, freezeFloat } from "../../../pipelines/freeze/index.js";
import {
  foldBatchNorm,
  initialParameters,
  placeQuantizers,
} from "../../../pipelines/network/index.js";
import { calibrate } from "../../../pipelines/quantize/index.js";
import { batchesInOrder, train } from "../../../pipelines/train/index.js";
import { hyperparameters } from "../../searching.js";
import { deployedLogits, toyDataset } from "../../support.js";

const dataset = toyDataset();
const float = resnet8.build({ inputShape: [8, 8, 1], classes: 4, width: 4 });
const folded = foldBatchNorm(float, academic.batchNorm);
const placed = placeQuantizers(folded, academic, { weights: 3, activations: 3 });
const all = placed.sites.map(({ id }) => id);
const FLOAT = 32;
const inFloat = (ids: readonly string[]) => Object.fromEntries(ids.map((id) => [id, FLOAT]));
const allBut = (id: string) => inFloat(all.filter((other) => other !== id));

/** By definition, in float64. */
function judged(logits: Float32Array, reference: Float32Array): Behavior {
  let [correct, loss, signal, noise] = [0, 0, 0, 0];
  dataset.test.labels.forEach((label: number, image: number) => {
    const row = [...logits.subarray(4 * image, 4 * image + 4)];
    correct += Number(row.indexOf(Math.max(...row)) === label);
    loss -= Math.log(
      Math.exp(row[label] ?? NaN) / row.reduce((sum, logit) => sum + Math.exp(logit), 0),
    );
  });
  logits.forEach((logit, i) => {
    signal += (reference[i] ?? NaN) ** 2;
    noise += (logit - (reference[i] ?? NaN)) ** 2;
  });
  const count = dataset.test.count;
  const sqnr = 10 * Math.log10(signal / noise);
  return { accuracy: correct / count, loss: loss / count, sqnr };
}

function expectEqual(found: Behavior, wanted: Behavior): void {
  expect(found.accuracy).toBe(wanted.accuracy);
  expect(found.loss).toBeCloseTo(wanted.loss, 4);
  expect(found.sqnr).toBeCloseTo(wanted.sqnr ?? NaN, 1);
}

describe.each(["onnxruntime", "portable"] as const)("a network in parts, by %s", async (name) => {
  const engine = await loadEngine(name);
  const { tensors: parameters } = await train(engine, {
    ...{ network: float, tensors: initialParameters(float, 0), dataset, hyperparameters },
    ...{ schedule: hyperparameters.pretrain, seed: 0, name: "pretrain" },
  });
  const common = { algorithm: minMax, parameters, dataset, hyperparameters };
  const values = await calibrate(engine, { ...placed, ...common });
  const wide = placed.sites.map((site) => ({ ...site, scheme: { ...site.scheme, bitWidth: 8 } }));
  const subject = {
    ...{ ...placed, algorithm: minMax, backend: academic, classes: 4 },
    tensors: { ...parameters, ...values },
    atBits: new Map([[8, await calibrate(engine, { ...placed, ...common, sites: wide })]]),
  };
  const batches = [...batchesInOrder(dataset, dataset.test, 24)];
  const parts = await PartlyQuantized.create(engine, subject, { batches, areLabeled: true });
  const logitsOf = (frozen: Parameters<typeof exportOnnx>[0]) =>
    deployedLogits(exportOnnx(frozen, "test"), dataset, "preciseUnsigned");
  const floatLogits = await logitsOf(freezeFloat(float, parameters));

  test("is the float network with everything in float", async () => {
    const wanted = judged(floatLogits, floatLogits);
    const found = await parts.deployed(inFloat(all));
    expect(found.accuracy).toBe(wanted.accuracy);
    expect(found.loss).toBeCloseTo(wanted.loss, 4);
    expect(found.sqnr ?? Infinity).toBeGreaterThan(90);
    expect(parts.inFloat().loss).toBeCloseTo(wanted.loss, 4);
  });

  test("is the quantized network with nothing in float, deployed as simulated", async () => {
    const frozen = await freeze(engine, placed, subject);
    expectEqual(await parts.deployed({}), judged(await logitsOf(frozen), floatLogits));
    expectEqual(await parts.simulated({}), await parts.deployed({}));
  });

  test("has the integer weights of one layer and all else in float", async () => {
    const quantized = await freeze(engine, placed, subject);
    const everything = await freeze(engine, { network: folded, sites: [] }, subject);
    for (const id of ["stem/kernel", "s1.0.a/kernel", "classifier/kernel"]) {
      const kernels = new Map(everything.kernels);
      const shape = kernels.get(id)?.shape ?? [];
      kernels.set(id, { dtype: "float32", shape, data: dequantized(quantized, id) });
      const wanted = judged(await logitsOf({ ...everything, kernels }), floatLogits);
      expect(wanted.sqnr).toBeLessThan(60); // 8 bits at the ends, 3 within
      expectEqual(await parts.simulated(allBut(id)), wanted);
      const deployed = await parts.deployed(allBut(id));
      // Where only the weights of a dense layer are integers, onnxruntime's own kernel adds an error.
      if (id === "classifier/kernel")
        expect(deployed.sqnr).toBeGreaterThan((wanted.sqnr ?? NaN) - 6);
      else expectEqual(deployed, wanted);
    }
  });

  test("has one layer's weights in float, which the runtime does not quantize by itself", async () => {
    for (const id of ["stem/kernel", "s1.0.a/kernel", "s2.0.b/kernel"])
      expectEqual(await parts.deployed(inFloat([id])), await parts.simulated(inFloat([id])));
  });

  test("suffers less from 8 bits than from its own, and has values for no others", async () => {
    const at8 = await parts.deployed(Object.fromEntries(all.map((id) => [id, 8])));
    const own = await parts.deployed({});
    expect(at8.sqnr ?? NaN).toBeGreaterThan((own.sqnr ?? NaN) + 15);
    await expect(parts.deployed({ "s1.0.a/kernel": 5 })).rejects.toThrow(
      /no values of s1.0.a\/kernel at 5 bits/,
    );
  });

  test("takes what float says to be right where there are no labels", async () => {
    const zeros = batches.map((batch) => ({
      ...batch,
      labels: { ...batch.labels, data: new Int32Array(batch.labels.data.length) },
    }));
    const judgedBy = (areLabeled: boolean) =>
      PartlyQuantized.create(engine, subject, { batches: zeros, areLabeled });
    expect((await judgedBy(false)).inFloat().accuracy).toBe(1);
    expect((await judgedBy(true)).inFloat().accuracy).toBeLessThan(0.5);
  });
});
