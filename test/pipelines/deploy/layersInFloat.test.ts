import { expect, test } from "vitest";
import type { ConvNode, Network } from "../../../algorithms/network.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { infer, loadModel, preciseKernels } from "../../../pipelines/deploy/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import {
  type FrozenGrid,
  type FrozenNetwork,
  type FrozenWeight,
  isCodebook,
  layersInFloat,
} from "../../../pipelines/freeze/index.js";
import * as ort from "../../../pipelines/onnxruntime.js";
import { frozenNetwork } from "../frozenNetwork.js";

const CHANNELS = [2, 6, 5, 7, 4];
const SIDE = 3;

/** Four convolutions of one pixel each, with ReLUs in between. */
const chain: Network = {
  nodes: [
    { op: "input", name: "image", shape: [SIDE, SIDE, CHANNELS[0] ?? 0] },
    ...CHANNELS.slice(1).flatMap((filters, i) => [
      {
        ...{ op: "conv2d" as const, name: `c${String(i)}`, filters, kernelSize: [1, 1] as const },
        ...{ stride: [1, 1] as const, depthwise: false, bias: true },
        input: i === 0 ? "image" : `r${String(i - 1)}`,
      } satisfies ConvNode,
      { op: "relu" as const, name: `r${String(i)}`, input: `c${String(i)}` },
    ]),
    { op: "globalAveragePool", name: "pool", input: "r3" },
  ],
};
const frozen = frozenNetwork({
  profile: onnxruntime,
  bits: 8,
  seed: 3,
  model: { build: () => chain },
});
const image = Float32Array.from({ length: SIDE * SIDE * 2 }, (_, i) => 2 * Math.sin(i));

/** What the chain gives by definition, in float64: weights on their grids, quantizers as far as a form has them. */
function byDefinition(
  { network, activations }: FrozenNetwork,
  weights: FrozenNetwork["weights"] = frozen.weights,
): number[] {
  let pixels = Array.from({ length: SIDE * SIDE }, (_, i) => [
    ...[0, 1].map((channel) => image[channel * SIDE * SIDE + i] ?? NaN),
  ]);
  for (const node of network.nodes) {
    if (node.op === "quantize") {
      const { scale, zeroPoint } = activations.get(node.name) as FrozenGrid;
      const [step = NaN, zero = NaN] = [scale[0], zeroPoint[0]];
      const code = (x: number) => Math.min(255, Math.max(0, Math.round(x / step) + zero));
      pixels = pixels.map((pixel) => pixel.map((x) => (code(x) - zero) * step));
    } else if (node.op === "conv2d") {
      const { codes, on } = weights.get(`${node.name}/kernel`) as FrozenWeight;
      const valueOf = (code: number, filter: number): number =>
        isCodebook(on) ? (on.levels[code] ?? NaN) : code * (on.scale[filter] ?? NaN);
      const bias = frozen.biases.get(node.name);
      pixels = pixels.map((pixel) =>
        Array.from({ length: node.filters }, (_, filter) =>
          pixel.reduce(
            (sum, x, i) => sum + x * valueOf(codes[i * node.filters + filter] ?? NaN, filter),
            bias?.[filter] ?? NaN,
          ),
        ),
      );
    } else if (node.op === "relu") pixels = pixels.map((pixel) => pixel.map((x) => Math.max(0, x)));
  }
  return (pixels[0] ?? []).map(
    (_, channel) => pixels.reduce((sum, pixel) => sum + (pixel[channel] ?? NaN), 0) / pixels.length,
  );
}

/** What a form gives on onnxruntime. */
async function deployed(form: FrozenNetwork): Promise<Float32Array> {
  const session = await loadModel(exportOnnx(form, "chain"), preciseKernels(form));
  const found = await infer(session, new ort.Tensor("float32", image, [1, 2, SIDE, SIDE]));
  await session.release();
  return found;
}

function expectClose(found: Float32Array, expected: readonly number[]): void {
  const reach = Math.max(...expected.map(Math.abs));
  expect(reach).toBeGreaterThan(0);
  found.forEach((value, i) => {
    expect(Math.abs(value - (expected[i] ?? NaN))).toBeLessThan(1e-4 * reach);
  });
}

test("weights that are levels of a table keep them behind quantized inputs", async () => {
  // None of these but the last is a multiple of the largest over 127.
  const levels = Float32Array.of(-0.713, -0.0137, 0.0021, 0.2503, 0.9);
  const weights = new Map(
    [...frozen.weights].map(([id, weight]) => [
      id,
      {
        on: { levels, thresholds: levels.subarray(1) },
        codes: weight.codes.map((_, i) => (7 * i + 3) % levels.length),
      },
    ]),
  );
  const table = { ...frozen, weights };
  expectClose(await deployed(table), byDefinition(table, weights));
});

test.each([[[]], [["c0"]], [["c1"]], [["c1", "c2"]], [["c2", "c3"]], [["c0", "c3"]]])(
  "layers in float compute what their integer weights stand for: %j",
  async (layers) => {
    const form = layersInFloat(frozen, new Set(layers));
    expectClose(await deployed(form), byDefinition(form));
  },
);

test("quantizers that only served layers in float are gone, others stay", () => {
  const left = (layers: readonly string[]) =>
    layersInFloat(frozen, new Set(layers)).network.nodes.flatMap(({ op, name }) =>
      op === "quantize" ? [name] : [],
    );
  const all = left([]);
  expect(all).toEqual(["image/output", "r0/output", "r1/output", "r2/output", "r3/output"]);
  // c1 reads what c0 leaves in integers, and c3 needs integers.
  expect(left(["c1", "c2"])).toEqual(["image/output", "r0/output", "r2/output", "r3/output"]);
  expect(left(["c0", "c1"])).toEqual(["r1/output", "r2/output", "r3/output"]);
  expect(left(["c0", "c1", "c2", "c3"])).toEqual([]);
});
