import type { Algorithm } from "./algorithm.js";
import { singlePath } from "./spos.js";

const method = singlePath("costBins");

/** SPOS whose supernet trains mostly what costs about as much as the budget allows. */
export const sposBins = {
  ...method,
  name: "sposBins",
  title: "SPOS (paths by cost)",
  deviations: [
    ...method.deviations,
    "The path of a batch is drawn until its cost lies in a bin that was drawn first, one of seven from 88 to 109 % of the budget, at most 500 times, as in the code; then it is taken as it comes.",
  ],
} as const satisfies Algorithm;
