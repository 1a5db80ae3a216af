import type { CellConfig } from "./schema.js";

/** What a study varies in a cell, in words: "batch norm 2, start norm/percentile"; "" where nothing. */
export function variantLabel({ variant = {}, hyperparameters }: CellConfig): string {
  const { batchNorm, graph, initialization, budget, search, density } = variant;
  const { quantizerWeightDecay, distillation } = hyperparameters;
  return [
    ...(batchNorm === undefined ? [] : [`batch norm ${String(batchNorm)}`]),
    ...(graph === undefined ? [] : [`graph ${String(graph)}`]),
    ...(initialization === undefined
      ? []
      : [`start ${initialization.weights}/${initialization.activations}`]),
    ...(budget === undefined
      ? []
      : [`for ${"on" in budget ? `${budget.on} ${budget.unit}` : budget.unit}`]),
    ...(search === undefined ? [] : [`${search} search`]),
    ...(density === undefined ? [] : [`density ${String(density)}`]),
    ...(distillation === undefined
      ? []
      : [`distilled ${String(distillation.weight)} at ${String(distillation.temperature)}`]),
    ...(quantizerWeightDecay === undefined ? [] : [`scale decay ${String(quantizerWeightDecay)}`]),
  ].join(", ");
}
