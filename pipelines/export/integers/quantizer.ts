import type { QuantizeNode } from "../../../algorithms/network.js";
import { isCodebook, keptRange } from "../../freeze/index.js";
import { requantize } from "./requantize.js";
import { bounded, type Target } from "./steps.js";
import { centered, isSum, OFFSET, refuse, sumOf, type Value, type Writing } from "./values.js";

/** An activation's integers, from real numbers or from sums on other grids. */
export function quantizer({ name, input }: QuantizeNode, writing: Writing): Value {
  const { frozen, graph, arithmetic } = writing;
  const site = writing.siteOf(name);
  const grid = frozen.activations.get(name);
  if (grid === undefined || isCodebook(grid)) return refuse(name, "its steps are not equal");
  if (site.scheme.bitWidth > 8) return refuse(name, "it has more than 8 bits");
  const offset = site.scheme.signed ? OFFSET : 0;
  const { quantMin, quantMax } = keptRange(frozen, site);
  const [scale = 1, zero = 0] = [grid.scale[0], grid.zeroPoint[0]];
  const zeroPoint = zero + offset;
  const range = { low: quantMin + offset, high: quantMax + offset };
  const value = writing.valueOf(input);
  if (!isSum(value)) {
    const constants = [graph.scalar(scale), graph.constant("uint8", [], [zeroPoint])];
    const codes = graph.add("QuantizeLinear", [value.real, ...constants]);
    const tensor = bounded(graph, codes, range);
    return sumOf(centered(graph, { tensor, scale, zeroPoint }));
  }
  const target: Target = {
    ...{ scale, zeroPoint, high: range.high },
    low: value.rectified ? Math.max(range.low, zeroPoint) : range.low,
    pixelAxes: writing.shapeOf(input).length - 1,
  };
  const tensor = requantize(graph, value.terms, target, arithmetic);
  return sumOf(centered(graph, { tensor, scale, zeroPoint }));
}
