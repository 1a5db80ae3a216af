import type { FloatNode } from "../../../algorithms/network.js";
import { adderTaps } from "../../network/index.js";
import { integerAdder } from "../adders.js";
import { onGrid, sumOf, type Value, type Writing } from "./values.js";

/**
 * 32-bit sums of distances between integers, in steps of the grid that filters and pixels share; nothing where
 * they are not integers.
 */
export function adder(node: FloatNode, writing: Writing): Value | undefined {
  const { frozen, graph, shapeOf } = writing;
  const layer = integerAdder(frozen, node);
  const [input = ""] = node.inputs;
  const term = onGrid(writing, input);
  if (layer === undefined || term === undefined) return undefined;
  const { operation, codes, grid } = layer;
  const zero = grid.zeroPoint[0] ?? 0;
  const taps = adderTaps(graph, {
    ...{ operation, shape: shapeOf(input), x: term.tensor },
    zero: graph.constant("int32", [], [0]),
    filter: (shape, places) => {
      const values = Int32Array.from(places, (place) => (codes[place] ?? NaN) - zero);
      return graph.constant("int32", shape, values);
    },
  });
  const distances = taps.reduce((a, b) => graph.add("Add", [a, b]));
  const tensor = graph.add("Neg", [distances]);
  return sumOf({ tensor, steps: grid.scale, divisor: 1 });
}
