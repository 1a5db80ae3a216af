import { describe, expect, test } from "vitest";
import { academic } from "../../../backends/academic.js";
import type { ConvNode, Network } from "../../../algorithms/network.js";
import { mobileNetV2, resnet8 } from "../../../benchmarks/models/index.js";
import {
  channelGroups,
  costOfNetwork,
  foldBatchNorm,
  placeQuantizers,
  withFilters,
} from "../../../pipelines/network/index.js";

const options = { inputShape: [28, 28, 1], classes: 10, width: 8 };
const quantized = (network: Network) =>
  placeQuantizers(foldBatchNorm(network, academic.batchNorm), academic, {
    ...{ weights: 4, activations: 4 },
  });
const resnet = quantized(resnet8.build(options));
const conv = (
  name: string,
  input: string,
  filters: number,
  more: Partial<ConvNode> = {},
): ConvNode => ({
  ...{ op: "conv2d", name, input, filters, kernelSize: 1, stride: 1, depthwise: false },
  ...more,
});
const image = { op: "input", name: "image", shape: [4, 4, 3] } as const;

describe("channels that must be as many", () => {
  test("are those that the additions of ResNet-8 join", () => {
    expect(
      channelGroups(resnet.network).map(({ convolutions, channels, joinedBy, fixedBy }) => [
        ...[convolutions.join(), channels, joinedBy.join(), fixedBy],
      ]),
    ).toEqual([
      ["stem,s0.0.b", 8, "s0.0.add", undefined],
      ["s0.0.a", 8, "", undefined],
      ["s1.0.a", 16, "", undefined],
      ["s1.0.b,s1.0.d", 16, "s1.0.add", undefined],
      ["s2.0.a", 32, "", undefined],
      ["s2.0.b,s2.0.d", 32, "s2.0.add", undefined],
    ]);
  });

  test("are those that a depthwise convolution reads and gives", () => {
    const groups = channelGroups(quantized(mobileNetV2.build(options)).network);
    const depthwise = groups.filter(({ joinedBy }) =>
      joinedBy.some((name) => /depthwise|dw/.test(name)),
    );
    expect(depthwise.length).toBeGreaterThan(10);
    for (const { convolutions } of depthwise) expect(convolutions.length).toBeGreaterThan(1);
  });

  test("cannot change where something else decides them", () => {
    const fixed = (nodes: Network["nodes"]) =>
      channelGroups({ nodes: [image, ...nodes] }).map(({ fixedBy }) => fixedBy);
    expect(fixed([conv("a", "image", 4), conv("b", "a", 2)])).toEqual([
      undefined,
      "they are the network's output",
    ]);
    expect(
      fixed([conv("a", "image", 4), conv("b", "a", 4, { groups: 2 }), conv("c", "b", 2)])[0],
    ).toBe('"b" convolves groups of them');
    expect(fixed([conv("a", "image", 3, { depthwise: true }), conv("b", "a", 2)])[0]).toBe(
      "they are those of the images",
    );
    const flat = {
      op: "float",
      name: "flat",
      operation: { kind: "flatten" },
      inputs: ["a"],
    } as const;
    expect(
      fixed([conv("a", "image", 4), flat, { op: "dense", name: "d", input: "flat", units: 2 }]),
    ).toEqual(['"flat" (flatten) needs as many']);
  });
});

describe("a network with other filters", () => {
  test("costs what its shapes say", () => {
    const filters = { stem: 5, "s0.0.b": 5, "s0.0.a": 11, "s2.0.a": 40 };
    const { network, sites } = withFilters(resnet, filters);
    // Products of each layer: pixels x 9 x inputs x filters, 1 instead of 9 in shortcuts.
    const expected =
      784 * 9 * (1 * 5 + 5 * 11 + 11 * 5) +
      196 * 9 * (5 * 16 + 16 * 16) +
      196 * 5 * 16 +
      49 * 9 * (16 * 40 + 40 * 32) +
      49 * 16 * 32 +
      320;
    expect(costOfNetwork(network, sites).macs).toBe(expected);
    const kernels = sites.filter(({ role }) => role === "weight");
    expect(kernels.reduce((sum, site) => sum + site.multiplications, 0)).toBe(expected);
    expect(kernels.find(({ id }) => id === "s0.0.a/kernel")?.shape).toEqual([3, 3, 5, 11]);
    expect(sites.find(({ id }) => id === "s0.0.b/input")?.shape).toEqual([28, 28, 11]);
  });

  test("is the one that the model builds at another width", () => {
    const twice = quantized(resnet8.build({ ...options, width: 16 }));
    const convolutions = twice.network.nodes.filter((node) => node.op === "conv2d");
    const filters = Object.fromEntries(convolutions.map((node) => [node.name, node.filters]));
    expect(withFilters(resnet, filters)).toEqual(twice);
  });

  test("lets depthwise convolutions follow", () => {
    const mobile = quantized(mobileNetV2.build(options));
    const group = channelGroups(mobile.network).find(
      ({ convolutions, fixedBy }) => convolutions.length === 2 && fixedBy === undefined,
    );
    const [first = ""] = group?.convolutions ?? [];
    const { network } = withFilters(mobile, { [first]: 7 });
    const found = network.nodes.filter(({ name }) => group?.convolutions.includes(name));
    expect(found.map((node) => node.op === "conv2d" && [node.depthwise, node.filters])).toEqual([
      [false, 7],
      [true, 7],
    ]);
  });

  test.each([
    [
      { stem: 5 },
      /"stem" and "s0.0.b" must have as many output channels, since "s0.0.add" joins them; they would have 5 and 8/,
    ],
    [{ "s1.0.d": 3, "s1.0.b": 4 }, /they would have 4 and 3/],
    [{ stam: 5 }, /no convolution "stam"; there are stem, s0.0.b/],
    [{ "s0.0.a": 0 }, /"s0.0.a" cannot have 0 output channels/],
    [{ "s0.0.a": 2.5 }, /cannot have 2.5/],
  ])("is refused where it makes no sense: %j", (filters: Record<string, number>, message) => {
    expect(() => withFilters(resnet, filters)).toThrow(message);
  });

  test("is refused where channels cannot change", () => {
    const network = { nodes: [image, conv("a", "image", 4), conv("b", "a", 2)] };
    expect(() => withFilters({ network, sites: [] }, { b: 3 })).toThrow(
      /"b" must keep its 2 output channels, since they are the network's output; it would have 3/,
    );
  });
});
