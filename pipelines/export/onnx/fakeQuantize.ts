import type { Encoding } from "../../freeze/index.js";
import type { OnnxGraph } from "../../onnx/index.js";

/** OpenVINO's FakeQuantize: values between the limits go to the nearest of so many levels. */
export function fakeQuantize(
  graph: OnnxGraph,
  x: string,
  options: Encoding & {
    /** Of what is quantized, where limits differ by channel. */
    readonly rank: number;
    readonly axis: number;
    readonly name: string;
  },
): string {
  const { low, high, levels, rank, axis, name } = options;
  const shape =
    low.length === 1 ? [] : Array.from({ length: rank }, (_, i) => (i === axis ? low.length : 1));
  const limits = [low, high].map((values) => graph.constant("float32", shape, values));
  return graph.add("org.openvinotoolkit:FakeQuantize", [x, ...limits, ...limits], { levels }, name);
}
