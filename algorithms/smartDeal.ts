import type { Algorithm } from "./algorithm.js";
import { trainSwitched } from "./decomposition/switchTraining.js";
import {
  DECOMPOSITION,
  DECOMPOSITION_SEARCH,
  PRUNED_ROWS,
  THRESHOLD,
  TRAINED_DEVIATIONS,
} from "./smartExchange.js";

/** SmartDeal's own training, which never leaves the decomposed form. */
export const smartDeal = {
  name: "smartDeal",
  title: "SmartDeal, sign-switch training",
  ...DECOMPOSITION,
  deviations: [
    "Trained from the decomposition of the float network with the image visits of a search, at a rate that falls linearly from the matrix's for quantized training; the code trains 200 epochs from scratch, with a stochastic weight average at the end, which is missing here. Zeros of the decomposition stay.",
    "A step of the optimizer counts for the 0.2 % of a layer's coefficients whose steps are largest in their own size, of which fewer and fewer do until the end; the code's threshold is a constant. A coefficient that counts moves by an octave at once (a bar of 1), between 2^-6 and 1.",
    "The best round is chosen on held-out images, without quantized activations; the decomposition of the float network is a candidate, too.",
    ...TRAINED_DEVIATIONS,
  ],
  search: {
    ...DECOMPOSITION_SEARCH,
    run: (laboratory) =>
      trainSwitched(laboratory, { threshold: THRESHOLD, prunedRows: PRUNED_ROWS }),
  },
} as const satisfies Algorithm;
