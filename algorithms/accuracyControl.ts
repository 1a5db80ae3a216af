import type { Algorithm } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import type { Found, Laboratory, Policy, Score } from "./laboratory.js";
import { mseObserver } from "./observers/index.js";
import { accuracyInFloat } from "./search/accuracyInFloat.js";

/** What may be lost against the float network, as a share of images. */
const MOST_LOST = 0.01;
/** Where bits are raised to. */
const RAISED_BITS = 8;

interface Ranked {
  readonly id: string;
  /** What raising this tensor alone takes off the loss, for each unit of the budget that it costs. */
  readonly gain: number;
}

/**
 * Raises the bits of the most sensitive tensors, one after another, until no more than a point of accuracy
 * is lost on the images that are held out.
 */
async function raiseBits(laboratory: Laboratory): Promise<Found> {
  const { cost, evaluate, free, rounds } = laboratory;
  const low = free.filter(({ scheme }) => scheme.bitWidth < RAISED_BITS);
  const enough = (await accuracyInFloat(laboratory)) - MOST_LOST;
  const start = await evaluate({}, { tuned: false });
  if (start.accuracy >= enough) return { policy: {} };
  const ranked = await rounds<readonly Ranked[]>("ranking", () => [], {
    most: low.length,
    async round(known, index) {
      const id = low[index]?.id ?? "";
      const raised = { [id]: RAISED_BITS };
      const { loss } = await evaluate(raised, { tuned: false });
      // What costs nothing comes first.
      const price = Math.max(cost(raised) - cost({}), Number.MIN_VALUE);
      return [...known, { id, gain: (start.loss - loss) / price }];
    },
  });
  const order = ranked.toSorted((a, b) => b.gain - a.gain);
  const first: { readonly policy: Policy; readonly score: Score } = { policy: {}, score: start };
  const { policy } = await rounds("raising", () => first, {
    most: order.length,
    done: ({ score }) => score.accuracy >= enough,
    async round(known, index) {
      const next = { ...known.policy, [order[index]?.id ?? ""]: RAISED_BITS };
      return { policy: next, score: await evaluate(next, { tuned: false }) };
    },
  });
  return { policy };
}

/** Post-training quantization that spends bits until accuracy is kept. */
export const accuracyControl = {
  name: "accuracyControl",
  title: "Accuracy control",
  version: 1,
  source: {
    title: "NNCF: quantization with accuracy control (OpenVINO documentation)",
    url: "https://docs.openvino.ai/2024/openvino-workflow/model-optimization-guide/quantizing-models-post-training/quantizing-with-accuracy-control.html",
  },
  deviations: [
    "Tensors are raised to 8 bits instead of being left in float, so that every backend can hold the result; at 8 bits there is nothing to raise.",
    "Tensors are ranked by what raising each alone takes off the loss of the images that are held out, for what it costs; NNCF ranks by outputs or the metric.",
    "Costs more than the matrix's bit widths wherever those lose more than a point.",
  ],
  weight: fixedGrid(mseObserver),
  activation: fixedGrid(mseObserver),
  phases: [],
  search: {
    budget: { unit: "bitOps" },
    mayExceed: true,
    candidates: [2, 3, 4, 5, 6, 7, 8],
    activations: true,
    run: raiseBits,
  },
} as const satisfies Algorithm;
