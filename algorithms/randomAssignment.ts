import type { Algorithm } from "./algorithm.js";
import { randomSearch } from "./randomSearch.js";
import { randomPolicy } from "./search/random.js";

/** One draw, untried: what mixed bits are worth that nobody chose. */
export const randomAssignment = {
  ...randomSearch,
  name: "randomAssignment",
  title: "Random bits",
  deviations: [
    "Bits of weights and of inputs of layers are drawn uniformly and lowered until they fit the budget; trained as LSQ.",
  ],
  search: {
    ...randomSearch.search,
    run: (laboratory) =>
      Promise.resolve({ policy: randomPolicy(laboratory, laboratory.random("policy 0")) }),
  },
} as const satisfies Algorithm;
