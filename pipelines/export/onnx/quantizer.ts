import type { QuantizeNode } from "../../../algorithms/network.js";
import { encodingOf, isCodebook, keptRange } from "../../freeze/index.js";
import { fakeQuantize } from "./fakeQuantize.js";
import { dpuRounded, lookUp } from "./rounding.js";
import { fillsType, gridConstants, storageType } from "./storage.js";
import { hasPixelAxes, valueOf, type Writing } from "./writing.js";

/** An activation's quantizer. */
export function quantizer({ name, input }: QuantizeNode, writing: Writing): string {
  const { frozen, graph } = writing;
  const site = writing.siteOf(name);
  const levels = frozen.activations.get(name);
  if (levels === undefined) throw new Error(`activation "${name}" was not frozen`);
  if (writing.quantizers === "fakeQuantize") {
    const encoding = encodingOf(site, levels);
    return fakeQuantize(graph, valueOf(writing, input), { ...encoding, rank: 0, axis: 0, name });
  }
  if (isCodebook(levels)) return lookUp(graph, valueOf(writing, input), { levels, name });
  const type = storageType(site);
  const grid = gridConstants(graph, levels, { type });
  // onnxruntime pools in integers only where the quantizer is next to the pool.
  const x = writing.valueOf(input);
  const rounded = site.scheme.rounding === "dpu" ? dpuRounded(graph, x, levels) : x;
  const quantized = graph.add("QuantizeLinear", [rounded, ...grid]);
  const codes = hasPixelAxes(writing, input) ? graph.add("Flatten", [quantized]) : quantized;
  const range = keptRange(frozen, site);
  const bound = (value: number) => graph.constant(type, [], [value]);
  const kept = fillsType(range, type)
    ? codes
    : graph.add("Clip", [codes, bound(range.quantMin), bound(range.quantMax)]);
  writing.codes.set(name, { tensor: kept, type });
  return graph.add("DequantizeLinear", [kept, ...grid], {}, name);
}
