import type { CompletedCell } from "../results/schema.js";

/** The hardware model that charts and tables show; the pages of cells show all. */
const ENERGY_MODEL = "eyeriss";
export const ENERGY_MODEL_TITLE = "an accelerator with Eyeriss's memories at 45 nm";

/** Modelled microjoules of one image on the quantized network. */
export function energyOf({ cost }: CompletedCell): number | undefined {
  const modelled = cost.quantized.hardware[ENERGY_MODEL];
  return modelled !== undefined && "microjoules" in modelled ? modelled.microjoules : undefined;
}
