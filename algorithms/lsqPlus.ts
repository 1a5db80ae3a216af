import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import { learnedStep } from "./lsq.js";
import { gridsFrom, meanStdObserver, mseObserver } from "./observers/index.js";

const weight = learnedStep({
  observe: meanStdObserver.observe,
  initialize: (batches, site) => gridsFrom(meanStdObserver, batches, site),
});

const activation = learnedStep({
  observe: mseObserver.observe,
  initialize: (batches, site) => gridsFrom(mseObserver, batches, site),
});

/** LSQ with a learned zero point and first values that fit the data. */
export const lsqPlus = {
  name: "lsqPlus",
  title: "LSQ+",
  version: 2,
  source: {
    title:
      "LSQ+: Improving Low-Bit Quantization through Learnable Offsets and Better Initialization (Bhalgat et al., 2020)",
    url: "https://arxiv.org/abs/2004.09576",
  },
  deviations: [
    "The offset is a whole number of steps, as integer hardware has it, and only affine backends have one; the paper's is real.",
    "Scale and offset of activations start from a search for the least squared error; the paper optimizes both by gradient descent (section 4.2).",
    "Weights are affine where the backend says so; the paper's are symmetric.",
  ],
  weight,
  activation,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
