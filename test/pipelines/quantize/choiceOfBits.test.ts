import { describe, expect, test } from "vitest";
import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import { channelwiseSize } from "../../../algorithms/channelwiseSize.js";
import { hawq } from "../../../algorithms/hawq.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { preciseKernels } from "../../../pipelines/deploy/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freeze, groupChannels } from "../../../pipelines/freeze/index.js";
import { channelBits } from "../../../pipelines/quantize/quantize.js";
import { agreementOf } from "../../../pipelines/train/index.js";
import { deployedLogits } from "../../support.js";
import { dataset, onnx, quantized } from "./toyCell.js";

test("HAWQ stays within the size of the uniform widths and mixes them", async () => {
  const { sites } = await quantized(hawq, onnxruntime);
  const inner = sites.filter(({ role }) => role === "weight").slice(1, -1);
  const size = (bits: (site: (typeof inner)[number]) => number) =>
    inner.reduce((sum, site) => sum + site.shape.reduce((a, b) => a * b, 1) * bits(site), 0);
  expect(size(({ scheme }) => scheme.bitWidth)).toBeLessThanOrEqual(size(() => 4));
  expect(new Set(inner.map(({ scheme }) => scheme.bitWidth)).size).toBeGreaterThan(1);
});

describe("channel-wise bits", () => {
  test("end as one width for each channel, which the deployed network has", async () => {
    const { sites, tensors, agreement } = await quantized(channelwiseSize, onnxruntime, {
      bits: 8,
    });
    const widths = sites
      .filter(({ role }) => role === "weight")
      .flatMap((site) => channelBits(channelwiseSize, site, tensors) ?? []);
    for (const width of widths) expect([2, 4, 8]).toContain(width);
    expect(agreement.share).toBeGreaterThanOrEqual(63 / 64);
  });

  test("are exported as one convolution for each width, which computes the same", async () => {
    const cell = await quantized(channelwiseSize, onnxruntime, { bits: 8 });
    const { network, tensors, simulated } = cell;
    const frozen = await freeze(onnx, network, { algorithm: channelwiseSize, tensors });
    // Widths for every channel of every layer, in a mixed order; the weights fit 8 bits anyway.
    const widths = new Map(
      network.sites
        .filter(({ role }) => role === "weight")
        .map(({ id, shape, channelAxis }) => [
          id,
          Array.from({ length: shape[channelAxis] ?? 1 }, (_, i) => [8, 2, 4, 8][i % 4] ?? 8),
        ]),
    );
    const wide = (site: QuantizerSite) => ({ ...site, scheme: { ...site.scheme, bitWidth: 8 } });
    const grouped = groupChannels(frozen, widths);
    const names = grouped.network.nodes.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["s0.0.a.w2", "s0.0.a.w4", "s0.0.a.w8"]));
    // s0.0.a is read by s0.0.b alone, whose weights are reordered; the stem also by an add.
    const permuted = grouped.network.nodes.filter(({ op }) => op === "permuteChannels");
    expect(permuted.map(({ name }) => name)).toContain("stem");
    expect(permuted.map(({ name }) => name)).not.toContain("s0.0.a");
    const model = exportOnnx({ ...grouped, sites: grouped.sites.map(wide) }, "grouped");
    const deployed = await deployedLogits(model, dataset, preciseKernels(frozen));
    expect(agreementOf(simulated, deployed, 4).share).toBeGreaterThanOrEqual(63 / 64);
    const plain = exportOnnx(frozen, "plain");
    expect(await deployedLogits(plain, dataset, preciseKernels(frozen))).toEqual(deployed);
  });
});
