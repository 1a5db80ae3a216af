import type { StoredWeights } from "../../backends/hardware/hardware.js";
import type { QuantizerSite, QuantizerValues } from "../quantizer.js";
import { blockForm } from "./blocks.js";
import { ORDER } from "./matrix.js";
import { STORED } from "./projectAll.js";
import { decodeBlocks, nonZeroRows } from "./storage.js";

/** What a site's bytes hold; nothing for a layer that is not decomposed. */
export function storedWeights(
  values: QuantizerValues,
  site: QuantizerSite,
): StoredWeights | undefined {
  const form = blockForm(site);
  const bytes = values[STORED]?.data;
  if (form === undefined || bytes === undefined) return undefined;
  const blocks = decodeBlocks(form, Uint8Array.from(bytes));
  const rows = form.blocks.reduce((sum, count) => sum + count, 0);
  const used = blocks.reduce((sum, { coefficients }) => sum + nonZeroRows(coefficients), 0);
  const nonZeros = blocks.reduce(
    (sum, { coefficients }) => sum + coefficients.filter((value) => value !== 0).length,
    0,
  );
  return {
    format: "SmartExchange",
    bytes: bytes.length,
    skipped: 1 - used / rows,
    // Each coefficient shifts a row of the basis and adds it.
    shiftAdds: nonZeros * ORDER,
  };
}
