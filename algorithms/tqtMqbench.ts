import { MQBENCH_TOOLKIT } from "../backends/backend.js";
import { TRAIN_ALL, type Algorithm, type Quantizer } from "./algorithm.js";
import { tqt } from "./tqt.js";

/** The threshold of calibration, which training leaves alone. */
const frozenThreshold: Quantizer = { ...tqt.activation, learned: [] };

/** TQT as the MQBench toolkit has it for Vitis: nothing trains the threshold. */
export const tqtMqbench = {
  name: "tqtMqbench",
  title: "TQT (as in MQBench)",
  version: 2,
  source: MQBENCH_TOOLKIT,
  deviations: [
    "Differs from TQT as published: no gradient reaches the threshold, which is a buffer in the toolkit; weights alone are trained.",
    "A scale below 2^-15 stays; the toolkit makes it 1.",
    "First thresholds are those of TQT here; the toolkit searches exponents for the least squared error.",
  ],
  weight: frozenThreshold,
  activation: frozenThreshold,
  phases: TRAIN_ALL,
} as const satisfies Algorithm;
