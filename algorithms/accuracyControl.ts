import type { Algorithm, QuantizerSite } from "./algorithm.js";
import { fixedGrid } from "./fixedGrid.js";
import type { Found, Laboratory, Policy } from "./laboratory.js";
import { mseObserver } from "./observers/index.js";
import { accuracyInFloat } from "./search/accuracyInFloat.js";
import { imagesOf } from "./search/batches.js";

/** What may be lost against the float network, as a share of images. */
const MOST_LOST = 0.01;

interface Ranked {
  readonly id: string;
  /** What raising this tensor alone takes off the loss, for each unit of the budget that it costs. */
  readonly gain: number;
}

/**
 * Raises the bits of the most sensitive tensors until no more than a point of accuracy is lost on the
 * images that are held out. Each is tried alone, and then one after another is raised; where visits are too few
 * for that, neighbors are tried together, and several are raised at once.
 *
 * @throws RangeError when there are too few visits to try and to raise all at once
 */
async function raiseBits(laboratory: Laboratory): Promise<Found> {
  const { cost, evaluate, free, heldOut, rounds, visits, widths } = laboratory;
  const widest = ({ role }: QuantizerSite) => widths[role].at(-1) ?? NaN;
  const low = free.filter((site) => site.scheme.bitWidth < widest(site));
  const raised = (sites: readonly QuantizerSite[]): Policy =>
    Object.fromEntries(sites.map((site) => [site.id, widest(site)]));
  const enough = (await accuracyInFloat(laboratory)) - MOST_LOST;
  const start = await evaluate({}, { tuned: false });
  if (start.accuracy >= enough) return { policy: {} };
  const images = imagesOf(heldOut);
  const tries = () => Math.floor((visits.allowed - visits.used) / images);
  // One try is left for raising.
  const together = Math.ceil(low.length / Math.max(1, Math.min(low.length, tries() - 1)));
  const ranked = await rounds<readonly Ranked[]>("ranking", () => [], {
    most: Math.ceil(low.length / together),
    async round(known, index) {
      const tried = low.slice(index * together, (index + 1) * together);
      const alone = raised(tried);
      const { loss } = await evaluate(alone, { tuned: false });
      // What costs nothing comes first.
      const price = Math.max(cost(alone) - cost({}), Number.MIN_VALUE);
      return [...known, ...tried.map(({ id }) => ({ id, gain: (start.loss - loss) / price }))];
    },
  });
  const gains = new Map(ranked.map(({ id, gain }) => [id, gain]));
  const order = low.toSorted((a, b) => (gains.get(b.id) ?? 0) - (gains.get(a.id) ?? 0));
  const { count } = await rounds("raising", () => ({ count: 0, isEnough: false }), {
    most: order.length,
    done: ({ isEnough, count: reached }) => isEnough || reached === order.length,
    async round({ count: reached }) {
      const left = order.length - reached;
      const next = reached + Math.ceil(left / Math.max(1, Math.min(tries(), left)));
      const { accuracy } = await evaluate(raised(order.slice(0, next)), { tuned: false });
      return { count: next, isEnough: accuracy >= enough };
    },
  });
  return { policy: raised(order.slice(0, count)) };
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
    "Tensors are raised to the most bits that the backend has, at most 8, instead of being left in float, so that it can hold the result; at 8 bits there is nothing to raise.",
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
