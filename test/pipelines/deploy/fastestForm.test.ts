import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { describe, expect, test } from "vitest";
import type { Network } from "../../../algorithms/network.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { resnet8 } from "../../../benchmarks/models/index.js";
import {
  type Form,
  fastestForm,
  timeByTurns,
  type Trials,
} from "../../../pipelines/deploy/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freezeFloat } from "../../../pipelines/freeze/index.js";
import { initialParameters } from "../../../pipelines/network/index.js";
import { frozenNetwork } from "../frozenNetwork.js";

const convolution = (name: string, filters: number, kernelSize: number, depthwise = false) => ({
  ...{ op: "conv2d" as const, name, filters, kernelSize, stride: 1, depthwise, bias: true },
});

/** One 3x3 convolution, two depthwise ones of different widths, two of one pixel, a dense layer. */
const layersOf = (narrow: number, wide: number): Network => ({
  nodes: [
    { op: "input", name: "image", shape: [8, 8, 1] },
    ...[
      convolution("stem", narrow, 3),
      convolution("d0", narrow, 3, true),
      convolution("p0", wide, 1),
      convolution("d1", wide, 3, true),
      convolution("p1", narrow, 1),
    ].flatMap((layer, i, all) => [
      { ...layer, input: i === 0 ? "image" : `${all[i - 1]?.name ?? ""}.relu` },
      { op: "relu" as const, name: `${layer.name}.relu`, input: layer.name },
    ]),
    { op: "globalAveragePool", name: "pool", input: "p1.relu" },
    { op: "dense", name: "classifier", input: "pool", units: 4 },
  ],
});
const frozenOf = (network: Network) =>
  frozenNetwork({ ...{ profile: onnxruntime, bits: 8, seed: 5, model: { build: () => network } } });
const layers = layersOf(16, 48);
const frozen = frozenOf(layers);

const floatModel = (network: Network): Uint8Array =>
  exportOnnx(freezeFloat(network, initialParameters(network, 0)), "float");
const float = floatModel(layers);

interface Costs {
  readonly integers: (layer: { inGroups: boolean; isDense: boolean; channels: number }) => number;
  readonly float: number;
  readonly qlinear?: number;
}

/** What a model takes if each layer costs so much, as a rule instead of a clock. */
const timeOf =
  ({ integers, float: inFloat, qlinear = 100 }: Costs) =>
  (model: Uint8Array): number => {
    const { graph } = fromBinary(ModelProtoSchema, model);
    const constants = new Map(graph?.initializer.map(({ name, dims }) => [name, dims]));
    const producers = new Map(
      (graph?.node ?? []).flatMap((node) => node.output.map((name) => [name, node])),
    );
    return (graph?.node ?? []).reduce((sum, { opType, input, attribute }) => {
      if (opType === "QLinearConv") return sum + qlinear;
      if (opType !== "Conv" && opType !== "Gemm") return sum;
      const weight = input[1] ?? "";
      if (constants.has(weight)) return sum + inFloat;
      const codes = producers.get(weight)?.input[0] ?? "";
      const group = attribute.find(({ name }) => name === "group")?.i ?? 1n;
      const channels = Number(constants.get(codes)?.[0] ?? 0);
      return sum + integers({ inGroups: group > 1n, isDense: opType === "Gemm", channels });
    }, 0);
  };

/** Output channels of a model's convolutions with integer weights. */
function widthsOf(model: Uint8Array): number[] {
  const { graph } = fromBinary(ModelProtoSchema, model);
  const dims = new Map(graph?.initializer.map((tensor) => [tensor.name, tensor.dims]));
  const nodes = graph?.node ?? [];
  return nodes
    .filter(({ opType }) => opType === "Conv")
    .map(({ input }) => {
      const codes = nodes.find(({ output }) => output[0] === input[1])?.input[0] ?? "";
      return Number(dims.get(codes)?.[0]);
    });
}

/** The largest integer weight of a model's convolutions. */
function largestCode(model: Uint8Array): number {
  const { graph } = fromBinary(ModelProtoSchema, model);
  const nodes = graph?.node ?? [];
  const codes = nodes
    .filter(({ opType }) => opType === "Conv")
    .map(({ input }) => nodes.find(({ output }) => output[0] === input[1])?.input[0]);
  const values = (graph?.initializer ?? [])
    .filter(({ name }) => codes.includes(name))
    .flatMap(({ rawData }) => [...Int8Array.from(rawData)]);
  return Math.max(...values.map(Math.abs));
}

/** Rounds that a busy machine disturbs: all models alike in one, each alone in another. */
const trials = (
  costs: Costs,
  agreement: (form: Form) => number = () => 1,
  saturates = false,
): Trials => ({
  saturates,
  time: (models: readonly Uint8Array[]) =>
    Promise.resolve(
      models.map((model, turn) => {
        const time = timeOf(costs)(model);
        return [time, 5 * time, time, turn === 1 ? 9 * time : time, 2 * time];
      }),
    ),
  agreement: (form: Form) => Promise.resolve(agreement(form)),
});

describe("the fastest form", () => {
  test("has in float the kinds of layers that lose by integers or gain nothing", async () => {
    const integers: Costs["integers"] = ({ inGroups, isDense }) =>
      inGroups ? 2 : isDense ? 1 : 0.4;
    const found = await fastestForm(frozen, float, trials({ integers, float: 1 }));
    expect(found.name).toBe("QuantizeLinear, in float: 3x3 depthwise, dense");
    expect(found.inFloat).toEqual(new Set(["d0", "d1", "classifier"]));
    expect(found.tried.map(({ form }) => form)).toContain("QLinear");
    expect(found.tried.find(({ form }) => form === "float")?.share).toBe(1);
  });

  test("has in float layers of one shape that lose, where others of their kind gain", async () => {
    const integers: Costs["integers"] = ({ inGroups, channels }) =>
      inGroups ? (channels === 48 ? 3 : 0.2) : 0.3;
    const found = await fastestForm(frozen, float, trials({ integers, float: 1 }));
    expect(found.name).toBe("QuantizeLinear, in float: 3x3 depthwise 8x8x48 to 8x8x48");
    expect(found.inFloat).toEqual(new Set(["d1"]));
  });

  test("is in QLinear operators where these are faster", async () => {
    const found = await fastestForm(
      frozen,
      float,
      trials({ integers: () => 0.9, float: 1, qlinear: 0.3 }),
    );
    expect(found.name).toBe("QLinear");
  });

  test.each([
    [0.985, "float"],
    [0.97, "QuantizeLinear"],
  ])("unless integers gain 2 %, is the float network: at %d of its time", async (share, name) => {
    const found = await fastestForm(frozen, float, {
      saturates: false,
      time: (models) =>
        Promise.resolve(
          models.map((model) => [
            model === float ? 1 : timeOf({ integers: () => 0, float: 1 })(model) === 0 ? share : 2,
          ]),
        ),
      agreement: () => Promise.resolve(1),
    });
    expect(found.name).toBe(name);
    expect(found.model === float).toBe(name === "float");
  });

  test("is never one that predicts something else than its simulation", async () => {
    const costs: Costs = {
      integers: ({ inGroups }) => (inGroups ? 0.8 : 0.3),
      float: 1,
      qlinear: 0.2,
    };
    const best = await fastestForm(frozen, float, trials(costs));
    expect(best.name).toBe("QLinear");
    const second = await fastestForm(
      frozen,
      float,
      trials(costs, ({ name }) => (name === "QLinear" ? 0.98 : 1)),
    );
    expect(second.name).toBe("QuantizeLinear");
    expect(second.tried.find(({ form }) => form === "QLinear")?.agreement).toBe(0.98);
    const none = await fastestForm(
      frozen,
      float,
      trials(costs, ({ name }) => Number(name === "float")),
    );
    expect(none.model).toBe(float);
    await expect(
      fastestForm(
        frozen,
        float,
        trials(costs, () => 0.5),
      ),
    ).rejects.toThrow(/not even the float network .* 50\.00 %/);
  });

  test("has channels padded to what kernels like", async () => {
    const narrow = layersOf(6, 18);
    const form = (fits: (channels: number) => boolean) =>
      fastestForm(
        frozenOf(narrow),
        floatModel(narrow),
        trials({
          integers: ({ isDense, channels }) => (isDense || fits(channels) ? 0.5 : 0.9),
          float: 1,
        }),
      );
    const inFours = await form((channels) => channels >= 16 && channels % 4 === 0);
    expect(inFours.name).toBe("QuantizeLinear, at least 16 channels, in fours");
    expect(widthsOf(inFours.model)).toEqual([16, 16, 20, 20, 16]);
    expect(inFours.inFloat).toEqual(new Set());
    const inSixteens = await form((channels) => channels % 16 === 0);
    expect(inSixteens.name).toBe("QuantizeLinear, channels in sixteens");
    expect(widthsOf(inSixteens.model)).toEqual([16, 16, 32, 32, 16]);
    expect((await form(() => true)).name).toBe("QuantizeLinear");
    // What is exported without padding has the channels that it had.
    expect(widthsOf((await form(() => false)).model)).toEqual([6, 6, 18, 18, 6]);
  });

  test("has weights of 7 bits where kernels saturate and predict something else", async () => {
    const costs: Costs = { integers: () => 0.5, float: 1 };
    const small = ({ name }: Form) => name.includes("7-bit weights");
    const form = (saturates: boolean, agreement: (form: Form) => number) =>
      fastestForm(frozen, float, trials(costs, agreement, saturates));
    const found = await form(true, (one) => (small(one) ? 0.995 : 0.95));
    expect(found.name).toBe("QuantizeLinear, 7-bit weights");
    expect(largestCode(found.model)).toBe(64);
    expect(found.tried.find(({ form: name }) => name === "QuantizeLinear")?.agreement).toBe(0.95);
    const right = await form(true, () => 1);
    expect(right.name).toBe("QuantizeLinear");
    expect(largestCode(right.model)).toBeGreaterThan(64);
    // What does not run at all is left out as elsewhere.
    const refused = await fastestForm(frozen, float, {
      saturates: true,
      time: (models) =>
        models.every((model) => model === float)
          ? trials(costs).time(models)
          : Promise.reject(new Error("no kernel")),
      agreement: ({ name }) =>
        name === "float" ? Promise.resolve(1) : Promise.reject(new Error("no kernel")),
    });
    expect(refused.name).toBe("float");
    expect(refused.tried).toContainEqual({ form: "QuantizeLinear", unsupported: "no kernel" });
    // Elsewhere another reason than saturation is behind it, which smaller weights do not mend.
    const other = await form(false, (one) => (small(one) || one.name === "float" ? 1 : 0.95));
    expect(other.name).toBe("float");
    expect(other.tried.some(({ form: name }) => name.includes("7-bit"))).toBe(false);
  });

  test("leaves out what the runtime does not load, and says why", async () => {
    const { time, agreement } = trials({ integers: () => 0.5, float: 1, qlinear: 0.1 });
    const found = await fastestForm(frozen, float, {
      ...{ agreement, saturates: false },
      time: (models) =>
        models.some((model) => timeOf({ integers: () => 0, float: 0, qlinear: 1 })(model) > 0)
          ? Promise.reject(new Error("no kernel"))
          : time(models),
    });
    expect(found.name).toBe("QuantizeLinear");
    expect(found.tried.find(({ form }) => form === "QLinear")).toEqual({
      ...{ form: "QLinear", unsupported: "no kernel" },
    });
  });
});

test("timed by turns, a network of a hundred times the work is slower in every round", async () => {
  const resnet = resnet8.build({ inputShape: [8, 8, 1], classes: 4, width: 64 });
  const wide = floatModel(resnet);
  const [slow = [], fast = [], again = []] = await timeByTurns([wide, float, wide], [1, 8, 8]);
  expect(slow.length).toBeGreaterThan(4);
  expect(fast).toHaveLength(slow.length);
  expect(again).toEqual(slow);
  expect(slow.every((time, round) => time > (fast[round] ?? Infinity))).toBe(true);
});
