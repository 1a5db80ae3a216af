import * as tf from "#tf";
import { TRAIN_ALL, type Algorithm, type QuantizerSite } from "./algorithm.js";
import { meanMagnitude, meanOfKept, multiplesOf, ternaryCodes, unlessBits } from "./fewLevels.js";
import { lsq } from "./lsq.js";

/** Of the mean magnitude: what minimizes the squared error of normal and uniform weights, about. */
const THRESHOLD = 0.7;

const codes = (w: tf.Tensor, site: QuantizerSite): tf.Tensor =>
  ternaryCodes(w, tf.mul(meanMagnitude(w, site), THRESHOLD));

/** Ternary Weight Networks: -a, 0 or a, with the threshold and the scale of least squared error. */
export const twn = {
  name: "twn",
  title: "TWN",
  family: "binary and ternary",
  version: 1,
  source: {
    title: "Ternary Weight Networks (Li et al., 2016)",
    url: "https://arxiv.org/abs/1605.04711",
  },
  deviations: [
    "Weights of 2 bits are ternary, those of first and last layer keep 8, calibrated once by the squared error; the paper's are all ternary.",
    "Activations are float (32 bits) as in the paper, or LSQ's.",
    "Backends with scales per channel have a threshold and a scale for each; the paper has one for each layer.",
    "The constants 0.7 and the mean of what is beyond the threshold are from memory of the paper.",
  ],
  weight: multiplesOf({ codes, scale: (w, site) => meanOfKept(w, codes(w, site), site) }, 2),
  activation: lsq.activation,
  phases: TRAIN_ALL,
  unsupported: (site) =>
    site.role === "weight" ? unlessBits(site, { weight: [2, 8], activation: [] }) : undefined,
} as const satisfies Algorithm;
