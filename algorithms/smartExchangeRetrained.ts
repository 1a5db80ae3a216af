import type { Algorithm } from "./algorithm.js";
import { retrain } from "./decomposition/retrain.js";
import {
  DECOMPOSITION,
  DECOMPOSITION_SEARCH,
  PRUNED_ROWS,
  THRESHOLD,
  TRAINED_DEVIATIONS,
} from "./smartExchange.js";

/** SmartExchange's own training: an epoch in float and a projection in turns. */
export const smartExchangeRetrained = {
  name: "smartExchangeRetrained",
  title: "SmartExchange, retrained",
  ...DECOMPOSITION,
  deviations: [
    "Trained from the float network with the image visits of a search, an epoch between projections or less where that makes fewer than four, at a rate that falls linearly from the matrix's for quantized training; the code has up to 300 epochs at 0.05, halved every 30, and a stochastic weight average beside it, which is missing here.",
    "The best projection is chosen on held-out images, without quantized activations; the projection of the float network is a candidate, too.",
    "The training that never leaves the decomposed form is `smartDeal`.",
    ...TRAINED_DEVIATIONS,
  ],
  search: {
    ...DECOMPOSITION_SEARCH,
    run: (laboratory) => retrain(laboratory, { threshold: THRESHOLD, prunedRows: PRUNED_ROWS }),
  },
} as const satisfies Algorithm;
