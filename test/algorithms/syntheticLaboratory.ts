import type { BudgetUnit, Laboratory, Note, Policy, Search } from "../../algorithms/laboratory.js";
import type { Network } from "../../algorithms/network.js";
import { academic } from "../../backends/academic.js";
import { randomStream } from "../../pipelines/engine/index.js";
import { channelGroups, foldBatchNorm, placeQuantizers } from "../../pipelines/network/index.js";
import { policyCost, searchedLayers, searchedSites } from "../../pipelines/quantize/index.js";

const TEN = { shape: [10], dtype: "int32", data: new Int32Array(10) } as const;

/**
 * A laboratory over real networks and hardware models whose accuracies are a formula, so that thousands of
 * policies can be tried within seconds. Each evaluation is one visit.
 */
export function syntheticLaboratory(
  float: Network,
  search: Search,
  {
    accuracy,
    visits,
    bits = 5,
    seed = 0,
    budget = search.budget,
  }: {
    readonly accuracy: (policy: Policy) => number;
    readonly visits: number;
    readonly bits?: number;
    readonly seed?: number;
    readonly budget?: BudgetUnit;
  },
) {
  const { network, sites } = placeQuantizers(foldBatchNorm(float, academic.batchNorm), academic, {
    ...{ weights: bits, activations: bits },
  });
  const layers = searchedLayers(network, sites);
  const cost: Laboratory["cost"] = (policy, unit = budget, changed = {}) =>
    policyCost({ network, sites }, policy, unit, changed);
  const tried: Note[] = [];
  const laboratory: Laboratory = {
    ...{ network, sites, layers, cost, calibration: [], parameters: {} },
    descent: { rate: 0.01, momentum: 0.9, decay: 0 },
    heldOut: [{ images: TEN, labels: TEN }],
    free: searchedSites(layers, sites, search.activations && budget.unit !== "size"),
    widths: { weight: search.candidates, activation: search.candidates },
    ...{ groups: channelGroups(network), limits: [{ unit: budget, allowed: cost({}) }] },
    budget: cost({}),
    visits: {
      allowed: visits,
      get used() {
        return tried.length;
      },
    },
    visitsPerEvaluation: 1,
    evaluate(policy) {
      tried.push({ policy, accuracy: accuracy(policy) });
      return Promise.resolve({ accuracy: accuracy(policy), loss: 1 - accuracy(policy) });
    },
    // In float nine of ten images are right.
    prepare: () => () => Promise.resolve({ loss: 0.1, correct: 9, gradients: {}, statistics: {} }),
    calibrate: () => Promise.resolve({}),
    epoch: () => [],
    random: (name) => randomStream(seed, name),
    note: (line) => tried.push(line),
    async rounds(_, first, { most, done, round }) {
      let state = await first();
      for (let i = 0; i < most && done?.(state) !== true; i++) state = await round(state, i);
      return state;
    },
  };
  return { laboratory, tried };
}
