import type { Laboratory } from "../../algorithms/laboratory.js";
import { costOfPath, genesOf } from "../../algorithms/search/genes.js";
import { spos } from "../../algorithms/spos.js";
import { resnet8 } from "../../benchmarks/models/index.js";
import { randomStream } from "../../pipelines/engine/index.js";
import { syntheticLaboratory } from "./syntheticLaboratory.js";

export const network = resnet8.build({ inputShape: [28, 28, 1], classes: 10, width: 8 });
export const random = (name: string) => randomStream(0, name);
export const PAIRS = [
  { weights: 2, activations: 2 },
  { weights: 2, activations: 4 },
  { weights: 8, activations: 8 },
];

/** What paths of these pairs of bits choose among, and what they may cost. */
export const spaceOf = (laboratory: Laboratory, pairs = PAIRS) => {
  const genes = genesOf(laboratory, pairs);
  return { genes, budget: laboratory.budget, cost: costOfPath(genes, laboratory.cost) };
};

/** ResNet-8 in a laboratory that knows its costs and nothing else. */
export const synthetic = () =>
  syntheticLaboratory(network, spos.search, { accuracy: () => 0, visits: 1 }).laboratory;
