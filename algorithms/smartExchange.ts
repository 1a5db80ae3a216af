import type { Algorithm, Quantizer, QuantizerSite } from "./algorithm.js";
import { projectAll } from "./decomposition/projectAll.js";
import { storedWeights } from "./decomposition/storedWeights.js";
import { fixedGrid } from "./fixedGrid.js";
import { minMaxObserver, mseObserver } from "./observers/index.js";

/** The source's 4e-3, at whose networks' weights of 0.05. */
export const THRESHOLD = 0.08;
/** What is rebuilt has more than 8 bits; on fewer it would be another method. */
const LEAST_BITS = 8;

/** Weights that were decomposed, on the grid of a device that computes with 8 bits. */
export const decomposedWeights: Quantizer = {
  ...fixedGrid(minMaxObserver),
  stored: storedWeights,
};

const needsEightBits = ({ role, scheme }: QuantizerSite): string | undefined =>
  role === "weight" && scheme.bitWidth < LEAST_BITS
    ? "its weights are rebuilt from powers of two and have 8 bits or more"
    : undefined;

export const DECOMPOSITION = {
  version: 1,
  family: "decomposition",
  source: {
    title:
      "SmartExchange: Trading Higher-cost Memory Storage/Access for Lower-cost Computation (Zhao et al., ISCA 2020), SmartDeal (Chen et al., TNNLS 2021) and its code",
    url: "https://arxiv.org/abs/2101.01163",
  },
  weight: decomposedWeights,
  activation: fixedGrid(mseObserver),
  phases: [],
  corrections: { recalibrateBatchNorm: true },
  unsupported: needsEightBits,
} as const satisfies Partial<Algorithm>;

export const DECOMPOSITION_SEARCH = {
  budget: { unit: "size" },
  candidates: [],
  activations: false,
} as const;

/** Where all of them depart from the source. */
const DECOMPOSITION_DEVIATIONS = [
  "Of the iterates that obey the thresholds the one with the least error is kept; the code takes the last one, whose error the last rounding may raise.",
  "The threshold is 0.08 root mean squares of a layer's weights, which is the code's 4e-3 at 0.05; columns are not scaled.",
  "Long filters are cut in as few blocks of nearly equal length as fit (192 rows; 171 in dense layers). Layers other than 3 x 3, 1 x 1 and dense, depthwise ones, and filters of less than 7 rows stay as they are: a basis would take more than it saves.",
  "Coefficients of a block have the seven exponents below its largest one, as 4 bits hold; the basis has 8 bits in steps of a power of two, whose exponent is one more byte of each block.",
  "The rebuilt weights are put on the backend's own grid, and where batch norm is folded that grid sees them multiplied by it; batch norm is measured again on the calibration images.",
  "The energy of training is not modelled: the published code does not count it, and the paper's own account was not to be had.",
];

/** Rows of 3 x 3 filters that are set to 0 before each decomposition, where training follows. */
export const PRUNED_ROWS = 0.3;

/** Where those that are trained depart from the source. */
export const TRAINED_DEVIATIONS = [
  "Three tenths of the rows are pruned in every layer of 3 x 3 filters; the code has a list for each network.",
  ...DECOMPOSITION_DEVIATIONS,
];

/** Weights as sparse powers of two times small bases, without training. */
export const smartExchange = {
  name: "smartExchange",
  title: "SmartExchange (PTQ)",
  ...DECOMPOSITION,
  deviations: [
    "The network is decomposed once, without the retraining that the source relies on, and no rows are pruned before.",
    ...DECOMPOSITION_DEVIATIONS,
  ],
  search: {
    ...DECOMPOSITION_SEARCH,
    run: ({ sites, parameters }) => {
      const options = { threshold: THRESHOLD, prunedRows: 0 };
      const { kernels, stored } = projectAll(sites, parameters, options);
      return Promise.resolve({ policy: {}, tensors: { ...kernels, ...stored } });
    },
  },
} as const satisfies Algorithm;
