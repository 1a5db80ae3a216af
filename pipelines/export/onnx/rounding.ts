import log2 from "@stdlib/math-base-special-log2";
import type { FrozenCodebook, FrozenGrid } from "../../freeze/index.js";
import { dataTypeCode, type OnnxGraph } from "../../onnx/index.js";

/**
 * x, or the whole step above it where a negative value is rounded up, a tie among them: QuantizeLinear, which
 * rounds ties to even, then rounds it as the DPU does. Steps are powers of two, so that nothing else rounds.
 */
export function dpuRounded(graph: OnnxGraph, x: string, { scale }: FrozenGrid): string {
  const step = graph.scalar(scale[0] ?? 1);
  const negative = graph.add("Div", [graph.add("Min", [x, graph.scalar(0)]), step]);
  const up = graph.add("Floor", [graph.add("Add", [negative, graph.scalar(0.5)])]);
  return graph.add("Max", [x, graph.add("Mul", [up, step])]);
}

interface LookUp {
  readonly levels: FrozenCodebook;
  readonly name: string;
}

/** Puts x on the levels of a codebook: the one with as many thresholds at or below x. */
export function lookUp(graph: OnnxGraph, x: string, request: LookUp): string {
  // Of two levels, one comparison decides, and the threshold itself is above.
  if (request.levels.levels.length === 2) return byBisection(graph, x, request);
  return byEqualSteps(graph, x, request) ?? byBisection(graph, x, request);
}

/** How far from equal steps levels and thresholds may lie: float32 noise, in steps. */
const EQUAL_STEPS = 1e-4;
const LARGEST_CODE = 255;

/** Levels with equal steps that have no 0 among them: by dividing, like those that have. */
function byEqualSteps(
  graph: OnnxGraph,
  x: string,
  { levels: { levels, thresholds }, name }: LookUp,
): string | undefined {
  const last = levels.length - 1;
  const lowest = levels[0] ?? 0;
  const step = ((levels[last] ?? 0) - lowest) / last;
  const isPlace = (value: number, place: number) =>
    Math.abs(value - (lowest + place * step)) <= EQUAL_STEPS * step;
  if (last > LARGEST_CODE || !(step > 0) || !levels.every(isPlace)) return undefined;
  if (!thresholds.every((threshold, i) => isPlace(threshold, i + 0.5))) return undefined;
  const grid = [graph.scalar(step), graph.constant("uint8", [], [0])];
  const moved = graph.add("Sub", [x, graph.scalar(lowest)]);
  const codes = graph.add("QuantizeLinear", [moved, ...grid]);
  const bounds = [0, last].map((bound) => graph.constant("uint8", [], [bound]));
  const place = graph.add("Cast", [graph.add("Clip", [codes, ...bounds])], {
    to: dataTypeCode("int32"),
  });
  const table = graph.constant("float32", [levels.length], levels);
  return graph.add("Gather", [table, place], { axis: 0 }, name);
}

/** In as many comparisons as the codebook has bits. */
function byBisection(
  graph: OnnxGraph,
  x: string,
  { levels: { levels, thresholds }, name }: LookUp,
): string {
  const bits = Math.ceil(log2(levels.length));
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
