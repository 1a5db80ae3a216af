import { describe, expect, test } from "vitest";
import { roundHalfToEven } from "../../../algorithms/observers/index.js";
import { resolveScheme } from "../../../pipelines/network/index.js";
import { academic } from "../../../backends/academic.js";
import type { BackendProfile } from "../../../backends/backend.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { rangeOf } from "../../../algorithms/affine.js";
import { infer, loadModel } from "../../../pipelines/deploy/index.js";
import { randomStream } from "../../../pipelines/engine/index.js";
import { exportIntegers, exportOnnx } from "../../../pipelines/export/index.js";
import type { FrozenNetwork } from "../../../pipelines/freeze/index.js";
import * as ort from "../../../pipelines/onnxruntime.js";
import { normalValues, site } from "../../support.js";

const [height, width, channels, filters] = [5, 6, 3, 4];
const scale = 0.0625;

/** One adder layer with random integers as filters. */
function layerOn(profile: BackendProfile, bits: number, zeroPoint: number): FrozenNetwork {
  const random = randomStream(bits, "adder codes");
  const place = site({
    ...{ id: "adder/input", role: "activation", shape: [height, width, channels] },
    ...{ channelAxis: 3, scheme: resolveScheme(profile.activations, bits, false) },
  });
  const { quantMin, quantMax } = rangeOf(place);
  const codes = Int32Array.from(
    { length: 9 * channels * filters },
    () => quantMin + random.integer(quantMax - quantMin + 1),
  );
  const grid = { scale: Float32Array.of(scale), zeroPoint: Float32Array.of(zeroPoint) };
  const operation = { kind: "adder", filters, size: 3, stride: [2, 1], grid: place.id } as const;
  return {
    network: {
      nodes: [
        { op: "input", name: "image", shape: place.shape },
        { op: "quantize", name: place.id, input: "image" },
        { op: "float", name: "adder", inputs: [place.id], operation },
      ],
    },
    sites: [place],
    activations: new Map([[place.id, grid]]),
    weights: new Map([["adder/kernel", { on: grid, codes }]]),
    ...{ kernels: new Map(), biases: new Map(), batchNorms: new Map() },
    // What was trained, which nothing may read any more.
    floats: {
      "adder/kernel": {
        ...{ dtype: "float32", shape: [3, 3, channels, filters] },
        data: new Float32Array(codes.length).fill(NaN),
      },
    },
  };
}

/** y = - sum |xq - wq| s, by the definition, [filters, rows, columns]. */
function expected(layer: FrozenNetwork, x: readonly number[]): number[] {
  const [place] = layer.sites;
  const weight = layer.weights.get("adder/kernel");
  if (place === undefined || weight === undefined || !("scale" in weight.on)) throw new Error();
  const { quantMin, quantMax } = rangeOf(place);
  const zero = weight.on.zeroPoint[0] ?? NaN;
  const codeOf = (value: number) =>
    Math.min(quantMax, Math.max(quantMin, roundHalfToEven(value / scale) + zero));
  const found: number[] = [];
  for (let filter = 0; filter < filters; filter++)
    for (let row = 0; row < 3; row++)
      for (let column = 0; column < width; column++) {
        let sum = 0;
        for (let i = 0; i < 9 * channels; i++) {
          const [tap, channel] = [Math.floor(i / channels), i % channels];
          const [top, left] = [2 * row - 1 + Math.floor(tap / 3), column - 1 + (tap % 3)];
          const isInside = top >= 0 && top < height && left >= 0 && left < width;
          const at = (channel * height + top) * width + left;
          const pixel = isInside ? codeOf(x[at] ?? NaN) : zero;
          sum += Math.abs(pixel - (weight.codes[i * filters + filter] ?? NaN));
        }
        found.push(-sum * scale);
      }
  return found;
}

describe.each([
  ["symmetric, 8 bits", academic, 8, 0],
  ["symmetric, 4 bits", academic, 4, 0],
  ["affine, 8 bits", onnxruntime, 8, 131],
  ["affine, 4 bits", onnxruntime, 4, 5],
] as const)("an adder layer on a grid that is %s", (_, profile, bits, zeroPoint) => {
  const layer = layerOn(profile, bits, zeroPoint);
  // Every tie and both ends of the grid among the values.
  const x = normalValues(height * width * channels, bits, (scale * 2 ** bits) / 2.5).map(
    (value) => roundHalfToEven(value / (scale / 2)) * (scale / 2),
  );
  const arithmetic = { multiplier: "float", rounding: "halfToEven", source: "a test" } as const;

  test.each([
    ["in integers", () => exportIntegers(layer, "layer", arithmetic)],
    ["between quantizers", () => exportOnnx(layer, "layer")],
  ])("%s: the sum of distances between integers, exactly", async (__, write) => {
    const session = await loadModel(write(), "inFloat");
    const image = new ort.Tensor("float32", Float32Array.from(x), [1, channels, height, width]);
    const y = await infer(session, image);
    await session.release();
    expect([...y]).toEqual(expected(layer, x));
  });
});
