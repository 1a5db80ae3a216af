import * as tf from "#tf";
import { rangeOf, usableScale, valueOf } from "./affine.js";
import type { Algorithm, Quantizer, QuantizerSite } from "./algorithm.js";
import type { Found, Laboratory } from "./laboratory.js";
import { startDescent } from "./search/descent.js";
import { atWidth } from "./search/runtimeGrid.js";
import { CHECKPOINTS, SliceTraining, type Mixed, type State } from "./search/sliceTraining.js";
import { bitsOf, firstSlices, LEAST_BITS, stepAndRange, usedStep } from "./search/stepAndRange.js";
import { imagesOf } from "./search/batches.js";

/** Bits beyond the budget's with which training at one width begins. */
const BITS_BEYOND = 2;
/** Part of the visits at that width, before bits are learned. */
const SHARE_AT_ONE_WIDTH = 3 / 7;
const VISITS_OF_STEP = 3;

/** The integer that stands for 0: in the middle of unsigned integers with negative values. */
function zeroCode(site: QuantizerSite): number {
  const { signed, bitWidth } = site.scheme;
  return signed || site.nonNegative ? 0 : 2 ** (bitWidth - 1);
}

/** Steps and ranges that stay as they were found; gradients of rounding stay bent. */
const slices: Quantizer = {
  learned: [],
  ...firstSlices,
  fakeQuantize(x, values, site) {
    const step = usableScale(valueOf(values, "step"), site.scheme);
    const { quantMin, quantMax } = rangeOf(site);
    const end = (code: number) => tf.mul(step, code - zeroCode(site));
    if (site.role === "activation")
      return stepAndRange(x, { step, range: end(quantMax), lowest: end(quantMin) }, site);
    const range = tf.minimum(valueOf(values, "range"), end(quantMax));
    return stepAndRange(x, { step, range }, site);
  },
  quantParams(values, site) {
    const scale = usableScale(valueOf(values, "step"), site.scheme);
    return { scale, zeroPoint: tf.fill(scale.shape, zeroCode(site)) };
  },
};

/** Weights whose channels have the bits that their integers need. */
const slicedWeight: Quantizer = {
  ...slices,
  bitWidths({ step, range }, site) {
    const channels = site.shape[site.channelAxis] ?? 1;
    return Array.from({ length: channels }, (_, i) => {
      const at = (step?.data.length ?? 1) === 1 ? 0 : i;
      const slice = {
        step: usedStep(step?.data[at] ?? NaN, site),
        range: range?.data[at] ?? NaN,
      };
      return Math.min(site.scheme.bitWidth, bitsOf(slice, false, LEAST_BITS).bits);
    });
  },
};

/** Weights at one width, then bits with weights under the penalty; the best feasible checkpoint is found. */
async function learnBits(laboratory: Laboratory): Promise<Found> {
  const { free, calibrate, calibration, visits, rounds, widths } = laboratory;
  if (free.length === 0) return { policy: {} };
  const ids = new Set(free.map(({ id }) => id));
  const started: Pick<Quantizer, "observe" | "initialize"> = {
    ...firstSlices,
    initialize(batches, site) {
      const widest = widths[site.role].at(-1) ?? site.scheme.bitWidth;
      const bits = Math.min(site.scheme.bitWidth + BITS_BEYOND, widest);
      return firstSlices.initialize(batches, ids.has(site.id) ? atWidth(site, bits) : site);
    },
  };
  const first = await calibrate({ weight: started, activation: started });
  const batch = calibration[0]?.labels.data.length ?? 1;
  const judged = imagesOf(laboratory.heldOut);
  const steps = Math.floor(visits.allowed / (VISITS_OF_STEP * batch));
  const alone = Math.floor(SHARE_AT_ONE_WIDTH * steps);
  const left = visits.allowed - VISITS_OF_STEP * batch * alone - CHECKPOINTS * judged;
  const together = Math.max(0, Math.floor(left / (VISITS_OF_STEP * batch)));
  const training = new SliceTraining(laboratory, together);
  const start: State = { descent: startDescent(laboratory.parameters), values: first, steps: 0 };
  const wide = await rounds("one width", () => start, {
    most: alone,
    done: (state) => state.steps >= alone,
    round: (state, index) => training.weights(state, `one width ${String(index)}`, alone),
  });
  const begin = (): Mixed => ({
    ...{ descent: startDescent(wide.descent.tensors), values: wide.values },
    ...{ steps: 0, best: undefined },
  });
  const mixed = await rounds("bits", begin, {
    most: CHECKPOINTS,
    done: (state) => state.steps >= together,
    round: (state, index) => training.bits(state, `bits ${String(index)}`),
  });
  return training.found(mixed);
}

/** Steps and ranges of channels, and thereby their bits, by gradient descent under a memory budget. */
export const schaefer = {
  name: "schaefer",
  title: "Schaefer et al.",
  version: 1,
  source: {
    title:
      "Edge Inference with Fully Differentiable Quantized Mixed Precision Neural Networks (Schaefer et al., WACV 2024)",
    url: "https://arxiv.org/abs/2206.07741",
  },
  deviations: [
    "Details are those of the authors' code. The fine-tuning at the end, with steps and ranges as they were found, is the matrix's training of quantized networks; so are momentum and decay of all phases.",
    "The search has 3/7 of its visits at one width and 4/7 with bits, at a tenth of the rate; the code has as many epochs for each phase, RMSprop and cosines. Steps and ranges move at every 5th step (20 in the code) by gradient descent whose rate lets a step grow 50 times in all.",
    "The penalty is the squared excess as a part of each budget, weighed by 1, for budgets of any size; the code's is in kilobytes. Budgets are what the matrix's bits take in weights, and in the sum of activations.",
    "First and last layer keep their bits, as in all searches here; the code has slices there too. Slices of a fully connected layer follow the backend, as those of convolutions do: one for each channel where it has scales for each, else one for the tensor.",
    "The least bits are 2. The widest start is what the backend holds. Steps are at least 2^-20 (2^-12 in the code).",
    "In training after the search, activations are clipped where their bits end; those are at or beyond the range that was learned. Signed ones reach one integer further below.",
    "At most 16 checkpoints are judged, each by the last feasible step before it. Where none is feasible, all steps grow until the budgets hold.",
    "Backends with power-of-two scales: steps are rounded to them each time they are used.",
  ],
  weight: slicedWeight,
  activation: slices,
  phases: [{ name: "fine-tune", share: 1, trains: ["weights"] }],
  search: {
    budget: { unit: "memory" },
    candidates: [2, 3, 4, 5, 6, 7, 8],
    activations: true,
    run: learnBits,
  },
} as const satisfies Algorithm;
