import * as tf from "#tf";
import { MQBENCH } from "../backends/backend.js";
import { TRAIN_ALL, type Algorithm, type Quantizer } from "./algorithm.js";
import { fakeQuantize, gridOver, rangeOf } from "./affine.js";
import { normalizedTanh, transformedWeight } from "./dorefa.js";
import { bounds, clipLearned, learnedBound } from "./pact.js";

/** Clips at the learned bounds themselves; the grid then covers them by PyTorch's rule. */
const { passes: _, ...undeclared } = learnedBound; // both the bounds and the grid decide
const activation: Quantizer = {
  ...undeclared,
  fakeQuantize(x, values, site) {
    const learned = bounds(values, site);
    const { scale, zeroPoint } = gridOver(learned, site);
    const range = { ...rangeOf(site), passes: "rounded" } as const;
    return fakeQuantize(clipLearned(x, learned, learned), scale, zeroPoint, range);
  },
  quantParams(values, site) {
    const { scale, zeroPoint } = gridOver(bounds(values, site), site);
    return { scale, zeroPoint: zeroPoint ?? tf.zerosLike(scale) };
  },
};

/** PACT as MQBench has it. */
export const pactMqbench = {
  name: "pactMqbench",
  title: "PACT (as in MQBench)",
  version: 2,
  source: MQBENCH,
  deviations: [
    "Differs from PACT here: gradients pass where the rounded value lies on the grid. Signed symmetric grids have the scale alpha / 7.5 at 4 bits, so that a value clipped at alpha lies on a tie, which rounds beyond the grid and gives alpha no gradient for about four of five alphas, by the last bit of a division; the negative side always moves it. On affine grids that happens at the first bounds, 6 and -6.",
    "PyTorch multiplies by the inverse of the scale instead of dividing, so that it is not always the same alphas.",
    "Weights are DoReFa's as in MQBench, not rescaled.",
    "A tensor that may be negative has a lower bound in every batch; MQBench's has none in batches without a negative value.",
    "Activations at 8 bits learn their bound too; MQBench's code then takes the extremes of each batch.",
  ],
  knownDefects: [
    "gradients are finite and reach the input and everything learned",
    "gradients of learned values add up to the change of the output",
  ],
  weight: transformedWeight(normalizedTanh, "rounded"),
  activation,
  phases: TRAIN_ALL,
  unsupported: ({ role, scheme }) =>
    role === "activation" && scheme.scaleForm === "powerOfTwo"
      ? "it clips at a bound between two steps of a power-of-two grid, which no exported quantizer does"
      : undefined,
} as const satisfies Algorithm;
