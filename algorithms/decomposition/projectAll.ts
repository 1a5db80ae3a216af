import type { QuantizerSite, QuantizerValue, QuantizerValues } from "../quantizer.js";
import { nameAt } from "../search/siteValues.js";
import { project, type ProjectionOptions } from "./project.js";

/** Under this name a site of weights keeps the bytes of its decomposed form, one in each number. */
export const STORED = "stored";

/** Decomposes the weights of every layer that the format is for. */
export function projectAll(
  sites: readonly QuantizerSite[],
  parameters: QuantizerValues,
  options: ProjectionOptions,
): { readonly kernels: QuantizerValues; readonly stored: QuantizerValues } {
  const kernels: Record<string, QuantizerValue> = {};
  const stored: Record<string, QuantizerValue> = {};
  for (const site of sites.filter(({ role }) => role === "weight")) {
    const weights = parameters[site.id];
    const projection = weights && project(site, weights.data, options);
    if (projection === undefined) continue;
    kernels[site.id] = { shape: site.shape, data: projection.kernel };
    const bytes = Float32Array.from(projection.bytes);
    stored[nameAt(site, STORED)] = { shape: [bytes.length], data: bytes };
  }
  return { kernels, stored };
}
