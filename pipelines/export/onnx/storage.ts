import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import type { QuantRange } from "../../../backends/scheme.js";
import type { FrozenGrid } from "../../freeze/index.js";
import type { OnnxGraph, OnnxType } from "../../onnx/index.js";

/** Integers of the types that codes are stored in. */
export const STORAGE_RANGES = {
  int4: [-8, 7],
  uint4: [0, 15],
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
} as const;
export type StorageType = Exclude<keyof typeof STORAGE_RANGES, "int4" | "uint4">;

/** The type that holds a site's codes: whole bytes. */
export function storageType({ scheme: { signed, bitWidth } }: QuantizerSite): StorageType {
  if (bitWidth > 8) return signed ? "int16" : "uint16";
  return signed ? "int8" : "uint8";
}

/** The same with 4-bit types where they are enough. */
export function smallestType(site: QuantizerSite): OnnxType {
  if (site.scheme.bitWidth > 4) return storageType(site);
  return site.scheme.signed ? "int4" : "uint4";
}

/** Whether a range is all integers of a type. */
export function fillsType({ quantMin, quantMax }: QuantRange, type: StorageType): boolean {
  const [typeMin, typeMax] = STORAGE_RANGES[type];
  return quantMin === typeMin && quantMax === typeMax;
}

/**
 * Scale and zero point as constants: one of each, or one for each channel.
 *
 * @param own a name for the zero point that no other layer shares: where onnxruntime turns signed
 *   weights into unsigned ones, it replaces that constant once a layer and refuses the second time
 */
export function gridConstants(
  graph: OnnxGraph,
  { scale, zeroPoint }: FrozenGrid,
  { type, own }: { readonly type: OnnxType; readonly own?: string },
): [scale: string, zeroPoint: string] {
  const shape = scale.length === 1 ? [] : [scale.length];
  return [graph.constant("float32", shape, scale), graph.constant(type, shape, zeroPoint, own)];
}
