import { expect, test } from "vitest";
import { vitis } from "../../../backends/vitis.js";
import { resnet8 } from "../../../benchmarks/models/index.js";
import { dpuRounded } from "../../../pipelines/export/onnx/rounding.js";
import { placeQuantizers } from "../../../pipelines/network/index.js";
import { OnnxGraph } from "../../../pipelines/onnx/index.js";
import * as ort from "../../../pipelines/onnxruntime.js";

/** What the DPU makes of x in steps: ties below 0 go up, others to even; what is beyond saturates. */
function roundedByDpu(steps: number): number {
  const down = Math.floor(steps);
  const isTie = steps - down === 0.5;
  const nearest = Math.floor(steps + 0.5);
  const whole = isTie && steps > 0 && nearest % 2 !== 0 ? down : nearest;
  return Math.min(Math.max(whole, -128), 127);
}

test.each([2 ** -7, 1, 8])(
  "ties and their neighbours are rounded as by the DPU, step %d",
  async (step) => {
    const steps = Array.from({ length: 1041 }, (_, i) => i / 4 - 130).flatMap((value) => [
      value,
      value + 2 ** -12,
      value - 2 ** -12,
    ]);
    const graph = new OnnxGraph();
    const x = graph.input("x", "float32", [steps.length]);
    const grid = { scale: Float32Array.of(step), zeroPoint: Float32Array.of(0) };
    const codes = graph.add("QuantizeLinear", [
      dpuRounded(graph, x, grid),
      graph.scalar(step),
      graph.constant("int8", [], [0]),
    ]);
    graph.output("codes", codes, "int8", [steps.length]);
    const session = await ort.InferenceSession.create(graph.toBytes("ties"));
    const values = Float32Array.from(steps, (value) => value * step);
    const result = await session.run({ x: new ort.Tensor("float32", values, [steps.length]) });
    await session.release();
    expect(Array.from(result["codes"]?.data as Int8Array)).toEqual(steps.map(roundedByDpu));
  },
);

test("the DPU's rounding is there where values may be negative, and nowhere else", () => {
  const network = resnet8.build({ inputShape: [8, 8, 1], classes: 4, width: 4 });
  const { sites } = placeQuantizers(network, vitis, { weights: 8, activations: 8 });
  const activations = sites.filter(({ role }) => role === "activation");
  expect(new Set(activations.map(({ nonNegative }) => nonNegative))).toEqual(
    new Set([true, false]),
  );
  for (const { id, nonNegative, scheme } of activations)
    expect(scheme.rounding, id).toBe(nonNegative ? undefined : "dpu");
});
