import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import { academic } from "../../../backends/academic.js";
import { backends } from "../../../backends/index.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { snpe } from "../../../backends/snpe.js";
import { tengine } from "../../../backends/tengine.js";
import { tensorrt } from "../../../backends/tensorrt.js";
import { vitis } from "../../../backends/vitis.js";
import { mobileNetV2, models, resnet8 } from "../../../benchmarks/models/index.js";
import { forward } from "../../../pipelines/network/forward.js";
import { foldBatchNorm } from "../../../pipelines/network/foldBatchNorm.js";
import { consumersOf, inputsOf } from "../../../pipelines/network/graph.js";
import type { Network } from "../../../algorithms/network.js";
import { placeQuantizers } from "../../../pipelines/network/placeQuantizers.js";
import { initialParameters } from "../../../pipelines/network/parameters.js";
import { unquantized } from "../../../pipelines/network/quantizers.js";
import { hasAdders, normalValues, numbers } from "../../support.js";

beforeAll(() => tf.setBackend("cpu"));

const options = { inputShape: [8, 8, 1], classes: 4, width: 4 };
const bits = { weights: 4, activations: 4 };

/** Parameters with statistics as a trained network has them, negative gammas included. */
function trainedParameters(network: Network): Record<string, tf.Tensor> {
  return Object.fromEntries(
    Object.entries(initialParameters(network, 0)).map(([name, { shape, data }], i) => {
      const noise = normalValues(data.length, i, 0.3);
      const value = /gamma|beta|mean/.test(name)
        ? noise.map((v, j) => v + (data[j] ?? 0))
        : [...data];
      const positive = name.endsWith("variance") ? noise.map((v) => Math.abs(v) + 1) : value;
      return [name, tf.tensor(positive, [...shape])];
    }),
  );
}

const folding = models.filter((model) => !hasAdders(model.build(options)));

test.each(folding)("folding batch norm does not change what $title computes", (model) => {
  const network = model.build(options);
  const parameters = trainedParameters(network);
  const images = tf.tensor(normalValues(128, 9), [2, 8, 8, 1]);
  const run = (net: Network) =>
    numbers(forward(net, images, { parameters, training: false, quantize: unquantized }).logits);
  const folded = foldBatchNorm(network, 4);
  expect(folded.nodes.some(({ op }) => op === "batchNorm")).toBe(false);
  const expected = run(network);
  const scale = Math.max(...expected.map(Math.abs));
  run(folded).forEach((logit, i) => {
    expect(Math.abs(logit - (expected[i] ?? NaN)) / scale).toBeLessThan(1e-5);
  });
});

test("training a folded network measures the same batch statistics", () => {
  const network = resnet8.build(options);
  const parameters = trainedParameters(network);
  const images = tf.tensor(normalValues(256, 9), [4, 8, 8, 1]);
  const run = (net: Network) =>
    forward(net, images, { parameters, training: true, quantize: unquantized });
  const [plain, folded] = [run(network), run(foldBatchNorm(network, 4))];
  for (const [name, tensor] of Object.entries(plain.statistics)) {
    const other = numbers(folded.statistics[name] as tf.Tensor);
    numbers(tensor).forEach((value, i) => {
      expect(other[i]).toBeCloseTo(value, 3);
    });
  }
});

describe("quantizers are placed as the graph rule says:", () => {
  const ids = (network: Network, profile: (typeof backends)[number]) =>
    placeQuantizers(network, profile, bits)
      .sites.filter(({ role }) => role === "activation")
      .map(({ id }) => id);
  const network = resnet8.build(options);
  const folded = foldBatchNorm(network, 4);

  test("academic gives each layer an input quantizer of its own and adds in float", () => {
    const layers = network.nodes.filter(({ op }) => op === "conv2d" || op === "dense");
    expect(ids(network, academic).sort()).toEqual(layers.map(({ name }) => `${name}/input`).sort());
  });

  test("TensorRT shares quantizers and leaves one addend in the accumulator", () => {
    const found = ids(folded, tensorrt);
    expect(found).toContain("stem.relu/output"); // read by a convolution and, as shortcut, by the add
    expect(found).not.toContain("s0.0.b/output"); // the accumulated addend
    expect(found).toContain("s1.0.d/output"); // the other addend of a block with two convolutions
    expect(found).not.toContain("s1.0.b/output");
  });

  test("SNPE quantizes every addend", () => {
    const found = ids(folded, snpe);
    expect(found).toEqual(
      expect.arrayContaining(["s0.0.b/output", "s1.0.b/output", "s1.0.d/output"]),
    );
  });

  test("onnxruntime also quantizes what is pooled", () => {
    expect(ids(folded, onnxruntime)).toContain("s2.0.relu/output");
  });

  test("graph 3 quantizes the main branch of inverted residuals, graph 2 does not", () => {
    const mobile = foldBatchNorm(mobileNetV2.build(options), 4);
    expect(ids(mobile, snpe)).toContain("s1.1.project/output");
    expect(ids(mobile, tensorrt)).toContain("s1.0.project/output"); // the shortcut of s1.1
  });

  test("Tengine quantizes the network's output, Vitis also what a ReLU reads", () => {
    expect(ids(folded, tengine)).toContain("classifier/output");
    expect(ids(folded, tengine)).not.toContain("stem/output");
    expect(ids(folded, vitis)).toEqual(
      expect.arrayContaining(["classifier/output", "stem/output"]),
    );
  });

  test("a tensor is unsigned on the academic profile exactly where it cannot be negative", () => {
    const { sites } = placeQuantizers(mobileNetV2.build(options), academic, bits);
    const signed = (id: string) => sites.find((site) => site.id === id)?.scheme.signed;
    expect(signed("stem/input")).toBe(true);
    expect(signed("s0.0.depthwise/input")).toBe(false);
    expect(signed("s1.0.expand/input")).toBe(true);
    expect(signed("classifier/input")).toBe(false);
  });
});

describe.each(backends)("on $name", (profile) => {
  test.each(models)("$title: first and last layer have 8 bits, all others 4", (model) => {
    const base = model.build(options);
    const { network, sites } = placeQuantizers(
      foldBatchNorm(base, profile.batchNorm),
      profile,
      bits,
    );
    const widths = new Map(sites.map((site) => [site.id, site.scheme.bitWidth]));
    // OpenVINO leaves one of eight bits free.
    const edgeBits = Math.min(8, profile.bitWidths.weights.used ?? 8);
    expect(new Set(widths.values())).toEqual(new Set([4, edgeBits, 8]));
    for (const node of network.nodes) {
      if (node.op !== "conv2d" && node.op !== "dense") continue;
      const edge = node.name === "stem" || node.name === "classifier";
      expect(widths.get(`${node.name}/kernel`), node.name).toBe(edge ? edgeBits : 4);
      const [input = ""] = inputsOf(node);
      expect(widths.has(input), `${node.name} reads a quantized tensor`).toBe(true);
      if (edge) expect(widths.get(input)).toBe(8);
    }
    for (const { id, role } of sites) {
      const isOutput = network.nodes.at(-1)?.name === id;
      if (role === "activation" && !isOutput)
        expect(consumersOf(network, id).length, id).toBeGreaterThan(0);
    }
  });
});

test("a network without layers cannot be quantized", () => {
  const empty: Network = { nodes: [{ op: "input", name: "image", shape: [1, 1, 1] }] };
  expect(() => placeQuantizers(empty, academic, bits)).toThrow(/no convolution or dense layer/);
});
