import { describe, expect, test } from "vitest";
import type { ConvNode, Network } from "../../../algorithms/network.js";
import { academic } from "../../../backends/academic.js";
import { litert } from "../../../backends/litert.js";
import { nnie } from "../../../backends/nnie.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { stpu } from "../../../backends/stpu.js";
import { mobileNetV2, resnet8 } from "../../../benchmarks/models/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import {
  type FrozenNetwork,
  isCodebook,
  layersInFloat,
  padChannels,
} from "../../../pipelines/freeze/index.js";
import { featureShapes } from "../../../pipelines/network/index.js";
import { preciseKernels } from "../../../pipelines/deploy/index.js";
import { deployedLogits, toyDataset } from "../../support.js";
import { frozenNetwork } from "../frozenNetwork.js";

const dataset = toyDataset(16);
const sixteens = { least: 16, multipleOf: 16 };

const widths = ({ network }: FrozenNetwork): number[] => {
  const shapes = featureShapes(network);
  return network.nodes
    .filter(({ op }) => op === "conv2d")
    .map(({ name }) => shapes.get(name)?.at(-1) ?? NaN);
};

async function logitsOf(form: FrozenNetwork) {
  return deployedLogits(exportOnnx(form, "padded"), dataset, preciseKernels(form));
}

/** The padded form, which is there. */
function padded(frozen: FrozenNetwork, padding = sixteens): FrozenNetwork {
  const found = padChannels(frozen, padding);
  if (found === undefined) throw new TypeError("nothing was padded");
  return found;
}

describe("channels of zeros", () => {
  test.each(
    [onnxruntime, academic, litert, stpu].flatMap((profile) =>
      [resnet8, mobileNetV2].map((model) => [profile.name, model.name, profile, model] as const),
    ),
  )("change nothing of %s's %s", async (_, __, profile, model) => {
    const frozen = frozenNetwork({ profile, bits: 8, seed: 7, model });
    const form = padded(frozen);
    expect(widths(form).every((width) => width % 16 === 0)).toBe(true);
    const [before, after] = [await logitsOf(frozen), await logitsOf(form)];
    expect(new Set(Array.from(before, (logit) => logit.toFixed(3))).size).toBeGreaterThan(1);
    before.forEach((logit, i) => {
      expect(after[i]).toBeCloseTo(logit, 5);
    });
  });

  test("change nothing where some layers are in float", async () => {
    const frozen = frozenNetwork({ profile: onnxruntime, bits: 8, seed: 9, model: mobileNetV2 });
    const names = frozen.network.nodes.filter(({ op }) => op === "conv2d").map(({ name }) => name);
    const some = new Set(names.filter((_, i) => i % 3 === 1));
    const before = await logitsOf(layersInFloat(frozen, some));
    const after = await logitsOf(layersInFloat(padded(frozen), some));
    before.forEach((logit, i) => {
      expect(after[i]).toBeCloseTo(logit, 4);
    });
  });

  test("are as many as kernels want, and no more", () => {
    const frozen = frozenNetwork({ profile: onnxruntime, bits: 8, seed: 7, model: resnet8 });
    expect(widths(frozen)).toEqual([4, 4, 4, 8, 8, 8, 16, 16, 16]);
    expect(widths(padded(frozen))).toEqual(widths(frozen).map(() => 16));
    expect(widths(padded(frozen, { least: 6, multipleOf: 4 }))).toEqual([
      ...[8, 8, 8, 8, 8, 8, 16, 16, 16],
    ]);
    expect(padChannels(padded(frozen), sixteens)).toBeUndefined();
  });
});

const convolution = (name: string, input: string, filters: number, groups?: number): ConvNode => ({
  ...{ op: "conv2d", name, input, filters, kernelSize: 3, stride: 1, depthwise: false, bias: true },
  ...(groups !== undefined && { groups }),
});

describe("channels stay as they are", () => {
  const built = (network: Network, profile = onnxruntime) =>
    frozenNetwork({ profile, bits: 8, seed: 3, model: { build: () => network } });
  const ends = (input: string): Network["nodes"] => [
    { op: "globalAveragePool", name: "pool", input },
    { op: "dense", name: "classifier", input: "pool", units: 4 },
  ];

  test("where groups, orders or the output count them", () => {
    const network: Network = {
      nodes: [
        { op: "input", name: "image", shape: [8, 8, 1] },
        convolution("a", "image", 4),
        convolution("b", "a", 6, 2),
        convolution("c", "b", 6),
        convolution("d", "b", 6),
        { op: "concat", name: "both", inputs: ["c", "d"] },
        convolution("e", "both", 6),
        ...ends("e"),
      ],
    };
    expect(widths(padded(built(network)))).toEqual([4, 6, 6, 6, 16]);
  });

  test("where float operations read them, whose zeros may become something else", () => {
    const network: Network = {
      nodes: [
        { op: "input", name: "image", shape: [8, 8, 1] },
        convolution("a", "image", 4),
        convolution("b", "image", 4),
        { op: "float", name: "share", inputs: ["a", "b"], operation: { kind: "div" } },
        convolution("c", "share", 6),
        ...ends("c"),
      ],
    };
    expect(widths(padded(built(network)))).toEqual([4, 4, 16]);
  });

  test("where weights have no 0", async () => {
    const frozen = frozenNetwork({ profile: nnie, bits: 8, seed: 3, model: resnet8 });
    const withZeros = padded(frozen);
    const [before, after] = [await logitsOf(frozen), await logitsOf(withZeros)];
    before.forEach((logit, i) => {
      expect(after[i]).toBeCloseTo(logit, 4);
    });
    const without = new Map(
      [...frozen.weights].map(([id, { on, codes }]) => [
        id,
        {
          codes,
          on: isCodebook(on)
            ? { ...on, levels: on.levels.map((level) => (level === 0 ? 1e-3 : level)) }
            : on,
        },
      ]),
    );
    expect(padChannels({ ...frozen, weights: without }, sixteens)).toBeUndefined();
  });
});
