import * as ort from "../../../pipelines/onnxruntime.js";
import { expect, test } from "vitest";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { resnet8 } from "../../../benchmarks/models/index.js";
import { exportIntegers, exportOnnx, exportTflite } from "../../../pipelines/export/index.js";
import { exportQLinear } from "../../../pipelines/export/qlinear/exportQLinear.js";
import { isCodebook, roomForBiases, type FrozenNetwork } from "../../../pipelines/freeze/index.js";
import { preciseKernels } from "../../../pipelines/deploy/index.js";
import { sessionOptions } from "../../../pipelines/session.js";
import { frozenNetwork } from "../frozenNetwork.js";

const LAYER = "s0.0.a";
const PRUNED = 1;
const BIAS = 60;

/** One channel whose weights are all 0, with the smallest scale that calibration gives, and a bias. */
function pruned(): FrozenNetwork {
  const frozen = frozenNetwork({ profile: onnxruntime, bits: 8, seed: 4, model: resnet8 });
  const id = `${LAYER}/kernel`;
  const weight = frozen.weights.get(id);
  if (weight === undefined || isCodebook(weight.on)) throw new Error("no weights");
  const channels = weight.on.scale.length;
  const codes = weight.codes.map((code, i) => (i % channels === PRUNED ? 0 : code));
  const scale = weight.on.scale.map((step, i) => (i === PRUNED ? 2 ** -23 : step));
  const biases = new Map(frozen.biases);
  const bias = Float32Array.from(biases.get(LAYER) ?? []);
  bias[PRUNED] = BIAS;
  biases.set(LAYER, bias);
  const weights = new Map(frozen.weights);
  weights.set(id, { on: { scale, zeroPoint: weight.on.zeroPoint }, codes });
  return { ...frozen, weights, biases };
}

const images = new ort.Tensor(
  "float32",
  Float32Array.from({ length: 20 * 64 }, (_, i) => Math.sin(i * 1.7) * 2),
  [20, 1, 8, 8],
);
async function logitsOf(bytes: Uint8Array, frozen: FrozenNetwork) {
  const session = await ort.InferenceSession.create(bytes, sessionOptions(preciseKernels(frozen)));
  const { logits } = await session.run({ image: images });
  await session.release();
  return Array.from(logits?.data as Float32Array);
}

test("a pruned channel with a bias has integer forms, which compute the same", async () => {
  const before = pruned();
  expect(() => exportQLinear(before, "n")).toThrow(/bias does not fit 32 bits/);
  const frozen = roomForBiases(before);
  const expected = await logitsOf(exportOnnx(before, "n"), before);
  expect(await logitsOf(exportOnnx(frozen, "n"), frozen)).toEqual(expected);
  expect(await logitsOf(exportQLinear(frozen, "n"), frozen)).toEqual(expected);
  const integers = exportIntegers(frozen, "n", onnxruntime.arithmetic);
  expect(await logitsOf(integers, frozen)).toEqual(expected);
  expect(() => exportTflite(frozen, "n")).not.toThrow();
});

test("its steps hold the bias as float32 does, and no other channel's change", () => {
  const [before, after] = [pruned(), roomForBiases(pruned())];
  const gridOf = ({ weights }: FrozenNetwork, id: string) => {
    const { on } = weights.get(id) ?? {};
    if (on === undefined || isCodebook(on)) throw new Error(`no grid "${id}"`);
    return on.scale;
  };
  for (const id of before.weights.keys())
    gridOf(before, id).forEach((scale, channel) => {
      const found = gridOf(after, id)[channel] ?? NaN;
      if (id !== `${LAYER}/kernel` || channel !== PRUNED) expect(found, id).toBe(scale);
    });
  const input = before.activations.get("stem.relu/output");
  if (input === undefined || isCodebook(input)) throw new Error("no grid");
  const step = (gridOf(after, `${LAYER}/kernel`)[PRUNED] ?? NaN) * (input.scale[0] ?? NaN);
  expect(BIAS / step).toBeGreaterThanOrEqual(2 ** 23);
  expect(BIAS / step).toBeLessThan(2 ** 24);
});
