import { marginOf, pValueOf, type Estimate } from "./difference.js";
import { holm } from "./holm.js";
import { CONFIDENCE } from "./moments.js";

/** What a test says of a difference: the first is better or worse beyond noise, neither, or the data cannot tell. */
export type Verdict = "better" | "worse" | "equivalent" | "undecided";

/**
 * Verdicts on differences that are tested together: corrected by Holm for how many they are.
 *
 * @param equivalence within which, as a share of images, the whole interval lies where neither is better
 */
export function verdictsOf<T extends { readonly estimate: Estimate }>(
  tested: readonly T[],
  equivalence: number,
): (T & { readonly verdict: Verdict })[] {
  const corrected = holm(tested.map(({ estimate }) => pValueOf(estimate)));
  return tested.map((one, i) => {
    const { estimate } = one;
    const differs = (corrected[i] ?? 1) < 1 - CONFIDENCE;
    const reach = Math.abs(estimate.mean) + marginOf(estimate, CONFIDENCE);
    const verdict: Verdict = differs
      ? estimate.mean > 0
        ? "better"
        : "worse"
      : reach < equivalence
        ? "equivalent"
        : "undecided";
    return { ...one, verdict };
  });
}
