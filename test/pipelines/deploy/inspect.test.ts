import { describe, expect, test } from "vitest";
import { lsq } from "../../../algorithms/lsq.js";
import { minMax } from "../../../algorithms/minMax.js";
import type { Algorithm } from "../../../algorithms/algorithm.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { models, resnet8 } from "../../../benchmarks/models/index.js";
import { loadEngine } from "../../../pipelines/engine/index.js";
import { freeze } from "../../../pipelines/freeze/index.js";
import { preciseKernels, probeSaturation } from "../../../pipelines/deploy/index.js";
import { inspectedImages, inspectSites } from "../../../pipelines/deploy/inspect.js";
import {
  foldBatchNorm,
  initialParameters,
  placeQuantizers,
} from "../../../pipelines/network/index.js";
import { calibrate } from "../../../pipelines/quantize/index.js";
import type { Kernels } from "../../../pipelines/session.js";
import { cellConfig } from "../../results/examples.js";
import { toyDataset } from "../../support.js";

const dataset = toyDataset(64);
const engine = await loadEngine("onnxruntime");
const network = foldBatchNorm(resnet8.build({ inputShape: [8, 8, 1], classes: 4, width: 4 }), 1);

async function inspect(algorithm: Algorithm, activations: number, kernels?: Kernels) {
  const quantized = placeQuantizers(network, onnxruntime, { weights: 4, activations });
  const parameters = initialParameters(network, 0);
  const values = await calibrate(engine, {
    ...{ network: quantized.network, sites: quantized.sites, algorithm, parameters, dataset },
    hyperparameters: cellConfig().hyperparameters,
  });
  const tensors = { ...parameters, ...values };
  const frozen = await freeze(engine, quantized, { algorithm, tensors });
  return {
    frozen,
    quantized,
    ...(await inspectSites(engine, frozen, {
      ...{ algorithm, tensors, dataset },
      arithmetic: onnxruntime.arithmetic,
      kernels: kernels ?? preciseKernels(frozen),
    })),
  };
}

describe("looking at each quantizer", () => {
  test("covers every site in the order of the network and agrees with the runtime", async () => {
    const { sites, quantized, images } = await inspect(minMax, 8);
    expect(images).toBe(64);
    expect(sites.map(({ id }) => id).toSorted()).toEqual(
      quantized.sites.map(({ id }) => id).toSorted(),
    );
    expect(sites[0]?.id).toBe("image/output");
    expect(sites.at(-1)?.id).toBe("classifier/kernel");
    for (const { id, differing } of sites.filter((site) => !site.id.endsWith("kernel"))) {
      expect(differing, id).toBeLessThan(0.01);
    }
    // The integer reference of this profile is the runtime's arithmetic.
    for (const { differing, integersDiffering, largestSteps, integersLargestSteps } of sites)
      expect([integersDiffering, integersLargestSteps]).toEqual([differing, largestSteps]);
  });

  test("looks at the graph that is deployed: showing its values changes no logit", async () => {
    for (const kernels of ["shipped", "preciseUnsigned"] as const) {
      const { isDeployedGraph } = await inspect(minMax, 8, kernels);
      expect(isDeployedGraph).toBe(true);
    }
  });

  test("says that images part at ties in rounding where sums are right, else otherwise", async () => {
    const { sites, partings, integersPartings } = await inspect(minMax, 4);
    expect(partings.otherwise).toBe(0);
    expect(integersPartings).toEqual(partings);
    const [first] = sites.filter(({ differing = 0 }) => differing > 0);
    if (first !== undefined) expect(first.ties).toBe(first.differing);
  });

  test("finds where kernels saturate, if they do", async () => {
    const { saturates } = await probeSaturation();
    const { images, sites, partings } = await inspect(minMax, 8, "shipped");
    // The stem has weights of 8 bits, in every network.
    const stem = sites.find(({ id }) => id === "stem.relu/output");
    expect(partings.otherwise).toBe(saturates ? images : 0);
    expect((stem?.differing ?? 0) > 0.05).toBe(saturates);
  });

  test("min-max clips nothing of the weights that it has seen", async () => {
    const { sites } = await inspect(minMax, 8);
    for (const { id, clipped } of sites.filter((site) => site.id.endsWith("kernel")))
      expect(clipped, id).toBe(0);
  });

  test("the values lie on the grid: a min-max grid has them between its ends, to both", async () => {
    const { sites } = await inspect(minMax, 4);
    const [, kernel] = sites.filter(({ id }) => id.endsWith("kernel"));
    const { histogram } = kernel ?? {};
    if (histogram === undefined) throw new Error("the kernel has no histogram");
    const { from, to, levels, uniform, counts } = histogram;
    expect({ levels, uniform }).toEqual({ levels: [-8, 7], uniform: true });
    const heights = Buffer.from(counts, "base64");
    expect(Math.max(...heights)).toBe(255);
    const centers = Array.from(
      heights,
      (_, i) => from + ((i + 0.5) * (to - from)) / heights.length,
    );
    const filled = centers.filter((_, i) => (heights[i] ?? 0) > 0);
    // The scale is the largest magnitude over 7.5 steps; a bin's center is off by half of its width.
    const half = (to - from) / heights.length / 2;
    expect(Math.min(...filled)).toBeGreaterThan(-7.5 - half);
    expect(Math.max(...filled)).toBeLessThanOrEqual(7.5 + half);
    expect(Math.max(...filled.map(Math.abs))).toBeGreaterThan(6.5);
  });

  // A uniform signal over the whole range of b bits has about 6.02 b decibel (Bennett, 1948); bell
  // shapes have less.
  test("a bit is worth about six decibel", async () => {
    const of = async (bits: number) => {
      const { sites } = await inspect(minMax, bits);
      return sites.find(({ id }) => id === "s0.0.relu/output")?.sqnr ?? NaN;
    };
    const gain = ((await of(8)) - (await of(4))) / 4;
    expect(gain).toBeGreaterThan(5);
    expect(gain).toBeLessThan(7);
  });

  test("a scale that is too small clips, and says how much", async () => {
    const wide = await inspect(lsq, 8);
    const narrow = await inspect(lsq, 2);
    const clipped = ({ sites }: typeof wide) =>
      sites.find(({ id }) => id === "s0.0.relu/output")?.clipped ?? NaN;
    expect(clipped(narrow)).toBeGreaterThan(clipped(wide));
    expect(clipped(narrow)).toBeLessThan(0.5);
  });
});

test.each([
  // All images at once are 1.5 million activations of ResNet-8, and one is 11 million of ResNet-50.
  ["resnet8", [28, 28, 1], { batchSize: 32, count: 128 }],
  ["resnet50", [224, 224, 3], { batchSize: 1, count: 16 }],
])(
  "looks at as many images as the activations leave room for: %s",
  (name, inputShape, expected) => {
    const model = models.find((one) => one.name === name);
    const built = model?.build({ inputShape, classes: 10, width: name === "resnet8" ? 8 : 64 });
    if (built === undefined) throw new Error(`no model ${name}`);
    const bits = { weights: 8, activations: 8 };
    expect(inspectedImages(placeQuantizers(foldBatchNorm(built, 1), onnxruntime, bits))).toEqual(
      expected,
    );
  },
);
