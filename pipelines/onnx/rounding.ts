import type { FrozenCodebook, FrozenGrid } from "../freeze.js";
import { dataTypeCode, type OnnxGraph } from "./onnxGraph.js";

/** x on whole steps, negative ties upwards; what QuantizeLinear then does changes nothing. */
export function dpuRounded(graph: OnnxGraph, x: string, { scale }: FrozenGrid): string {
  const step = graph.scalar(scale[0] ?? 1);
  const steps = graph.add("Div", [x, step]);
  const up = graph.add("Floor", [graph.add("Add", [steps, graph.scalar(0.5)])]);
  const negative = graph.add("Less", [steps, graph.scalar(0)]);
  const whole = graph.add("Where", [negative, up, graph.add("Round", [steps])]);
  return graph.add("Mul", [whole, step]);
}

/** Puts x on the levels of a codebook by bisection, in as many steps as it has bits. */
export function lookUp(
  graph: OnnxGraph,
  x: string,
  {
    levels: { levels, thresholds },
    name,
  }: { readonly levels: FrozenCodebook; readonly name: string },
): string {
  const bits = Math.ceil(Math.log2(levels.length));
  const size = 2 ** bits;
  const padded = (values: Float32Array, length: number, value: number) =>
    graph.constant(
      "float32",
      [length],
      Float32Array.from({ length }, (_, i) => values[i] ?? value),
    );
  const borders = padded(thresholds, size - 1, 3.4e38);
  const integer = (value: number) => graph.constant("int32", [], [value]);
  let place: string | undefined;
  for (let step = size / 2; step >= 1; step /= 2) {
    const at =
      place === undefined ? integer(step - 1) : graph.add("Add", [place, integer(step - 1)]);
    const border = graph.add("Gather", [borders, at], { axis: 0 });
    const above = graph.add("Cast", [graph.add("GreaterOrEqual", [x, border])], {
      to: dataTypeCode("int32"),
    });
    const moved = graph.add("Mul", [above, integer(step)]);
    place = place === undefined ? moved : graph.add("Add", [place, moved]);
  }
  if (place === undefined) throw new RangeError(`the codebook of "${name}" has one level`);
  return graph.add("Gather", [padded(levels, size, levels.at(-1) ?? 0), place], { axis: 0 }, name);
}
