import { expect, test } from "vitest";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { mobileNetV2 } from "../../../benchmarks/models/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { profileOperators } from "../../../pipelines/deploy/profileOperators.js";
import { frozenNetwork } from "../frozenNetwork.js";

test("every layer of an 8-bit export runs in integers, counted by its window", async () => {
  const frozen = frozenNetwork({ profile: onnxruntime, bits: 8, seed: 1, model: mobileNetV2 });
  const layers = frozen.network.nodes.filter(({ op }) => op === "conv2d");
  const depthwise = layers.filter((node) => node.op === "conv2d" && node.depthwise).length;
  const profile = await profileOperators(exportOnnx(frozen, "n"), {
    shape: [1, 8, 8],
    kernels: "shipped",
  });
  const counts = Object.fromEntries(
    Object.entries(profile).map(([name, { count }]) => [name, count]),
  );
  expect(counts).toMatchObject({
    "QLinearConv 3x3": 1, // the stem
    "QLinearConv 3x3 in groups": depthwise,
    "QLinearConv 1x1": layers.length - depthwise - 1,
    QLinearGlobalAveragePool: 1,
    QGemm: 1,
  });
  for (const name of ["Conv", "GlobalAveragePool", "Gemm", "DequantizeLinear"])
    expect(Object.keys(counts).some((found) => found.split(" ")[0] === name)).toBe(false);
  for (const { microseconds } of Object.values(profile)) expect(microseconds).toBeGreaterThan(0);
});
