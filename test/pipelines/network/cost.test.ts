import { describe, expect, test } from "vitest";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { resnet8 } from "../../../benchmarks/models/index.js";
import { costOfNetwork, layerWork, peakActivationBytes } from "../../../pipelines/network/cost.js";
import { foldBatchNorm } from "../../../pipelines/network/foldBatchNorm.js";
import type { ConvNode, Network } from "../../../algorithms/network.js";
import { placeQuantizers } from "../../../pipelines/network/placeQuantizers.js";

const float = resnet8.build({ inputShape: [32, 32, 3], classes: 10, width: 16 });
const { network, sites } = placeQuantizers(foldBatchNorm(float, 1), onnxruntime, {
  weights: 4,
  activations: 4,
});

describe("a network's cost", () => {
  test("counts the products of ResNet-8 (MLPerf Tiny's network: 12.50 million)", () => {
    expect(costOfNetwork(float, []).macs / 1e6).toBeCloseTo(12.5, 2);
  });

  test("weights products with the bits of both operands: 8 x 8 at the edges, 4 x 4 between", () => {
    const edges = 32 * 32 * 16 * 27 + 64 * 10;
    const { macs, bitOps } = costOfNetwork(network, sites);
    expect(bitOps).toBe(edges * 64 + (macs - edges) * 16);
    expect(costOfNetwork(float, []).bitOps).toBe(macs * 32 * 32);
  });

  test("splits a layer whose channels have different widths", () => {
    const id = "s0.0.a/kernel";
    const widths = new Map([[id, Array.from({ length: 16 }, (_, i) => (i < 4 ? 8 : 2))]]);
    const parts = layerWork(network, sites, widths).filter(({ layer }) => layer === "s0.0.a");
    expect(parts.map(({ weightBits, outputChannels }) => [weightBits, outputChannels])).toEqual([
      [8, 4],
      [2, 12],
    ]);
  });

  test("ranks fewer bits and fewer channels by what the target gains from each", () => {
    const cyclesOf = (width: number, bits: number, target: string) => {
      const net = resnet8.build({ inputShape: [28, 28, 1], classes: 10, width });
      const placed = placeQuantizers(foldBatchNorm(net, 1), onnxruntime, {
        ...{ weights: bits, activations: bits },
      });
      const cost = costOfNetwork(placed.network, placed.sites).hardware[target] ?? {};
      return "cycles" in cost ? (cost.cycles ?? NaN) : NaN;
    };
    // Half of the channels in 8 bits against all of them in 2.
    expect(cyclesOf(8, 8, "cpuSimd")).toBeLessThan(cyclesOf(16, 2, "cpuSimd"));
    expect(cyclesOf(8, 8, "bitSerialEdge")).toBeGreaterThan(cyclesOf(16, 2, "bitSerialEdge"));
  });

  test("counts shifts and differences apart from products, and hardware counts them as what they are", () => {
    const id = "s0.0.a/kernel";
    const whole = costOfNetwork(network, sites);
    const operators = new Map([[id, "shift" as const]]);
    const shifted = costOfNetwork(network, sites, { operators });
    const shifts = 32 * 32 * 16 * 9 * 16;
    expect(whole).not.toHaveProperty("shifts");
    expect([shifted.macs, shifted.shifts]).toEqual([whole.macs - shifts, shifts]);
    expect(shifted.bitOps).toBe(whole.bitOps - 16 * shifts);
    expect(shifted.hardware["mpic"]).toEqual({
      unsupported: "s0.0.a: it multiplies, and has no units that shift",
    });
    // 4 x 4 bits: a product takes 0.05 pJ, shifting 4 bits 0.012.
    const microjoules = ({ hardware }: typeof whole) =>
      "microjoules" in (hardware["eyeriss"] ?? {})
        ? (hardware["eyeriss"] as { microjoules: number }).microjoules
        : NaN;
    expect(microjoules(whole) - microjoules(shifted)).toBeCloseTo((shifts * 0.038) / 1e6, 9);
    const adder: Network = {
      nodes: [
        { op: "input", name: "image", shape: [6, 6, 4] },
        {
          ...{ op: "float", name: "far", inputs: ["image"] },
          operation: { kind: "adder", filters: 8, size: 3, stride: 1 },
        },
      ],
    };
    expect(costOfNetwork(adder, [])).toMatchObject({
      macs: 0,
      differences: 36 * 36 * 8,
      bitOps: 0,
    });
  });

  test("names the first layer that hardware has no arithmetic for", () => {
    expect(costOfNetwork(float, []).hardware["mpic"]).toEqual({
      unsupported: "stem: it has no float arithmetic",
    });
  });
});

describe("peak activation memory", () => {
  const image = { op: "input", name: "image", shape: [4, 4, 2] } as const;
  const conv = (name: string, input: string, filters: number): ConvNode => ({
    ...{ op: "conv2d", name, input, filters, kernelSize: 3, stride: 1, depthwise: false },
  });

  test("is the largest sum of an input and an output, in registers what follows a layer", () => {
    const chain: Network = {
      nodes: [
        image,
        conv("a", "image", 4),
        { op: "batchNorm", name: "a.bn", input: "a" },
        { op: "relu", name: "a.relu", input: "a.bn" },
        conv("b", "a.relu", 2),
      ],
    };
    expect(peakActivationBytes(chain, [])).toBe((16 * 2 + 16 * 4) * 4);
  });

  test("keeps what a shortcut still needs", () => {
    const residual: Network = {
      nodes: [
        image,
        conv("a", "image", 8),
        conv("b", "a", 2),
        { op: "add", name: "sum", inputs: ["b", "image"] },
      ],
    };
    // Image, a and b at the same time.
    expect(peakActivationBytes(residual, [])).toBe(16 * (2 + 8 + 2) * 4);
  });

  test("falls with the bits of quantized activations", () => {
    expect(peakActivationBytes(network, sites)).toBeLessThan(peakActivationBytes(float, []) / 4);
  });
});
