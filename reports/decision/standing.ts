import { marginOf, type Estimate } from "../statistics/difference.js";

/** What a report decides by, as shares of images. */
export interface Margins {
  /** So much less accuracy than the best does not matter. */
  readonly equivalence: number;
  /** What loses more against its float network is not worth deploying. */
  readonly usableLoss: number;
}
/** One point, and five. */
export const MARGINS: Margins = { equivalence: 0.01, usableLoss: 0.05 };
/** Both ends of these intervals are tests at 5 %, one on each side (Schuirmann, 1987). */
export const INTERVAL_CONFIDENCE = 0.9;

/** How one accuracy stands to the best. */
export type Standing = "equivalent" | "worse" | "undecided";

/** The interval of an estimate: low and high end, as shares of images. */
export function intervalOf(estimate: Estimate): readonly [low: number, high: number] {
  const margin = marginOf(estimate, INTERVAL_CONFIDENCE);
  return [estimate.mean - margin, estimate.mean + margin];
}

/**
 * Equivalent where the whole interval lies above what is tolerated, however the difference turns
 * out; worse where it is below 0 and not shown to be tolerable; undecided else.
 *
 * @param difference against the best
 */
export function standingOf(difference: Estimate, { equivalence } = MARGINS): Standing {
  const [low, high] = intervalOf(difference);
  if (low > -equivalence) return "equivalent";
  return high < 0 ? "worse" : "undecided";
}

/** Whether a change against float is bearable: shown so, shown not to be, or open. */
export function usabilityOf(
  change: Estimate,
  { usableLoss } = MARGINS,
): "usable" | "unusable" | "undecided" {
  const [low, high] = intervalOf(change);
  if (low > -usableLoss) return "usable";
  return high < -usableLoss ? "unusable" : "undecided";
}
