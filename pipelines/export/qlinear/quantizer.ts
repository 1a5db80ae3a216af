import type { QuantizeNode } from "../../../algorithms/network.js";
import { isCodebook, keptRange } from "../../freeze/index.js";
import { fillsType, gridConstants, storageType } from "../onnx/storage.js";
import { isWaiting, realOf, refuse, type Target, type Value, type Writing } from "./values.js";

/** An activation's integers: what the operator before it writes, within the range that is kept. */
export function quantizer({ name, input }: QuantizeNode, writing: Writing): Value {
  const { frozen, graph } = writing;
  const site = writing.siteOf(name);
  const levels = frozen.activations.get(name);
  if (levels === undefined || isCodebook(levels)) return refuse(name, "its steps are not equal");
  if (site.scheme.bitWidth > 8) return refuse(name, "it has more than 8 bits");
  if (site.scheme.rounding === "dpu") return refuse(name, "it rounds ties in its own way");
  const type = storageType(site);
  const zero = levels.zeroPoint[0] ?? 0;
  const kept = keptRange(frozen, site);
  const isFree = fillsType(kept, type);
  const value = writing.valueOf(input);
  // A ReLU on integers: nothing below the zero point.
  const cutsOff = isWaiting(value) && value.rectified && zero > kept.quantMin;
  const grid = gridConstants(graph, levels, { type });
  const target: Target = { type, grid, ...(isFree && !cutsOff && { name }) };
  const codes = isWaiting(value)
    ? value.into(target)
    : graph.add("QuantizeLinear", [realOf(writing, input), ...grid], {}, target.name);
  const bound = (limit: number) => graph.constant(type, [], [limit]);
  const positive = cutsOff
    ? graph.add("Max", [codes, bound(zero)], {}, isFree ? name : undefined)
    : codes;
  const tensor = isFree
    ? positive
    : graph.add("Clip", [positive, bound(kept.quantMin), bound(kept.quantMax)], {}, name);
  return { codes: { tensor, type, grid } };
}
