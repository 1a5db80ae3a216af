import type { QuantizerSite } from "../../algorithms/algorithm.js";

/** Sites with other bit widths where the map has one. */
export function withBits(
  sites: readonly QuantizerSite[],
  bits: ReadonlyMap<string, number | undefined>,
): QuantizerSite[] {
  return sites.map((site) => {
    const bitWidth = bits.get(site.id);
    return bitWidth === undefined ? site : { ...site, scheme: { ...site.scheme, bitWidth } };
  });
}
