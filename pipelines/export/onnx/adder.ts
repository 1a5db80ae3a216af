import type { FloatNode } from "../../../algorithms/network.js";
import { dequantized } from "../../freeze/index.js";
import { adderTaps } from "../../network/index.js";
import { integerAdder } from "../adders.js";
import { gridConstants, storageType } from "./storage.js";
import { valueOf, type Writing } from "./writing.js";

/** An adder layer whose filters are stored as integers; nothing where they are not. */
export function adder(node: FloatNode, writing: Writing): string | undefined {
  const { frozen, graph, quantizers, shapeOf, siteOf } = writing;
  const layer = integerAdder(frozen, node);
  const [input = ""] = node.inputs;
  if (layer === undefined) return undefined;
  const { operation, codes, grid } = layer;
  const { grid: site = "" } = operation;
  const type = storageType(siteOf(site));
  const constants = gridConstants(graph, grid, { type });
  const values = dequantized(frozen, `${node.name}/kernel`);
  const taps = adderTaps(graph, {
    ...{ operation, shape: shapeOf(input), x: valueOf(writing, input), zero: graph.scalar(0) },
    filter(shape, places) {
      const pick = (from: ArrayLike<number>) => places.map((place) => from[place] ?? NaN);
      if (quantizers === "fakeQuantize") return graph.constant("float32", shape, pick(values));
      const stored = graph.constant(type, shape, pick(codes));
      return graph.add("DequantizeLinear", [stored, ...constants]);
    },
  });
  const [only = ""] = taps;
  return graph.add("Neg", [taps.length === 1 ? only : graph.add("Sum", taps)], {}, node.name);
}
