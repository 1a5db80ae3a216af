import { describe, expect, test } from "vitest";
import type { ChannelGroup, Laboratory } from "../../../algorithms/laboratory.js";
import { nce } from "../../../algorithms/nce.js";
import { startDescent } from "../../../algorithms/search/descent.js";
import { grown, resized } from "../../../algorithms/search/grownChannels.js";
import { filtersOf, nameOf } from "../../../algorithms/search/widthChoices.js";
import { mobileNetV2, resnet8 } from "../../../benchmarks/models/index.js";
import { randomStream } from "../../../pipelines/engine/index.js";
import {
  initialParameters,
  parameterSpecs,
  withFilters,
} from "../../../pipelines/network/index.js";
import { syntheticLaboratory } from "../syntheticLaboratory.js";

const model = { inputShape: [28, 28, 1], classes: 10, width: 8 };
const laboratoryOf = (network = resnet8.build(model)) =>
  syntheticLaboratory(network, nce.search, { accuracy: () => 0, visits: 1 }).laboratory;

describe("tensors that grow", () => {
  test.each([
    ["ResNet-8", resnet8.build(model)],
    ["MobileNetV2", mobileNetV2.build(model)],
  ])("fit the wider network and keep what there was: %s", (_, float) => {
    const { network, sites, groups } = laboratoryOf(float);
    const free = groups.filter(({ fixedBy }) => fixedBy === undefined);
    const counts = new Map(free.map((group) => [group, group.channels + 3]));
    const filters = filtersOf(free, (name) => {
      const group = free.find((one) => nameOf(one) === name);
      return (group && counts.get(group)) ?? 1;
    });
    const parameters = initialParameters(network, 0) as Parameters<typeof startDescent>[0];
    const random = randomStream(0, "growth");
    const { tensors } = grown({ network, groups }, startDescent(parameters), { counts, random });
    const specs = parameterSpecs(withFilters({ network, sites }, filters).network);
    for (const [name, { shape }] of specs)
      expect([name, tensors[name]?.shape]).toEqual([name, shape]);
    const kernel = network.nodes.find(
      (node) => node.op === "conv2d" && !node.depthwise && node.name !== "stem",
    );
    const name = `${kernel?.name ?? ""}/kernel`;
    const [before, after] = [parameters[name], tensors[name]];
    const old = before?.shape ?? [];
    const at = (value: typeof after, [inner = 0, outer = 0]: readonly number[]) =>
      value?.data[inner * (value.shape[3] ?? 1) + outer] ?? NaN;
    expect(at(after, [1, 2])).toBe(at(before, [1, 2]));
    // Old filters read new channels with weights near 0; new filters are as in training from scratch.
    expect(Math.abs(at(after, [old[2] ?? 0, 0]))).toBeLessThan(0.02);
    const news = Array.from({ length: old[2] ?? 0 }, (_unused, i) => at(after, [i, old[3] ?? 0]));
    expect(Math.max(...news.map(Math.abs))).toBeGreaterThan(0.05);
  });
});

describe("tensors of another width", () => {
  test("are the first channels of a narrower group, and new ones behind those of a wider one", () => {
    const { network, sites, groups } = laboratoryOf();
    const parameters = initialParameters(network, 0) as Laboratory["parameters"];
    const free = groups.filter(({ fixedBy }) => fixedBy === undefined);
    const countOf = (group: ChannelGroup) =>
      nameOf(group) === "s1.0.a" ? group.channels + 4 : group.channels - 1;
    const counts = new Map(free.map((group) => [group, countOf(group)]));
    const tensors = resized({ network, groups, parameters }, counts, randomStream(0, "wider"));
    const filters = Object.fromEntries(
      free.flatMap((group) => group.convolutions.map((name) => [name, countOf(group)])),
    );
    const specs = parameterSpecs(withFilters({ network, sites }, filters).network);
    for (const [name, { shape }] of specs)
      expect([name, tensors[name]?.shape]).toEqual([name, shape]);
    // From [3, 3, 8, 16] to [3, 3, 7, 20]: in all places, the first 16 filters' weights for 7 channels.
    const [old, resizedKernel] = [parameters, tensors].map(
      (all) => all["s1.0.a/kernel"]?.data ?? new Float32Array(),
    );
    for (let place = 0; place < 9; place++)
      for (let input = 0; input < 7; input++) {
        const [from, to] = [(place * 8 + input) * 16, (place * 7 + input) * 20];
        expect(resizedKernel?.slice(to, to + 16)).toEqual(old?.slice(from, from + 16));
      }
  });
});
