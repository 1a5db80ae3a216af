import { GRAPH_RULES, MQBENCH, type BackendProfile } from "./backend.js";
import { SYMMETRIC_PER_TENSOR } from "./scheme.js";

/**
 * The setting of most papers, which no device executes: per-tensor symmetric, activations
 * unsigned where they cannot be negative, batch norm and adds in float (graph 1).
 */
export const academic = {
  name: "academic",
  title: "Academic",
  hardware: "none",
  version: 1,
  weights: { ...SYMMETRIC_PER_TENSOR, levels: "any" },
  activations: { ...SYMMETRIC_PER_TENSOR, signed: "adaptive", levels: "any" },
  graph: GRAPH_RULES[1],
  batchNorm: -1,
  bitWidths: {
    weights: { min: 1, max: 8, float: true },
    activations: { min: 1, max: 8, float: true },
  },
  edgeBitWidth: 8,
  source: MQBENCH,
  notes: [
    "Whether an activation is unsigned follows from the network (after ReLU, ReLU6 or a pooling of such), not from the minimum of the calibration data.",
  ],
} as const satisfies BackendProfile;
