import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import type { Found, Laboratory, Policy } from "./laboratory.js";
import { lsq } from "./lsq.js";
import { randomPolicy } from "./search/random.js";

/** Draws policies and tries them until no visits are left; the best one is found. */
export async function searchAtRandom(laboratory: Laboratory): Promise<Found> {
  const { evaluate, random, rounds, visits, visitsPerEvaluation } = laboratory;
  const first = { policy: randomPolicy(laboratory, random("policy 0")), accuracy: -1, loss: 0 };
  const { policy } = await rounds<typeof first & { readonly policy: Policy }>(
    "draws",
    () => first,
    {
      most: Math.floor((visits.allowed - visits.used) / visitsPerEvaluation),
      async round(best, index) {
        const drawn = randomPolicy(laboratory, random(`policy ${String(index)}`));
        const { accuracy, loss } = await evaluate(drawn);
        const isBetter =
          accuracy > best.accuracy || (accuracy === best.accuracy && loss < best.loss);
        return isBetter ? { policy: drawn, accuracy, loss } : best;
      },
    },
  );
  return { policy };
}

/** The control of every search: as many image visits, and no idea. */
export const randomSearch = {
  name: "randomSearch",
  title: "Random search of bits",
  version: 1,
  source: {
    title: "Random Search and Reproducibility for Neural Architecture Search (Li, Talwalkar, 2019)",
    url: "https://arxiv.org/abs/1902.07638",
  },
  deviations: [
    "Bits of weights and of inputs of layers are drawn uniformly and lowered until they fit the budget, then tried on held-out training images, on the grids with the least squared error; trained as LSQ.",
  ],
  weight: lsq.weight,
  activation: lsq.activation,
  phases: TRAIN_ALL,
  search: {
    budget: { unit: "bitOps" },
    candidates: [2, 3, 4, 5, 6, 7, 8],
    activations: true,
    run: searchAtRandom,
  },
} as const satisfies Algorithm;
