import { marginOf, type Estimate } from "../statistics/difference.js";

/** So much less accuracy than the best does not matter, as a share of images: one point. */
export const EQUIVALENCE_MARGIN = 0.01;
/** What loses more against its float network is not worth deploying: five points. */
export const USABLE_LOSS = 0.05;
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
export function standingOf(difference: Estimate, margin = EQUIVALENCE_MARGIN): Standing {
  const [low, high] = intervalOf(difference);
  if (low > -margin) return "equivalent";
  return high < 0 ? "worse" : "undecided";
}

/** Whether a change against float is bearable: shown so, shown not to be, or open. */
export function usabilityOf(change: Estimate): "usable" | "unusable" | "undecided" {
  const [low, high] = intervalOf(change);
  if (low > -USABLE_LOSS) return "usable";
  return high < -USABLE_LOSS ? "unusable" : "undecided";
}
