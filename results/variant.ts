import type { CellConfig, Variant } from "./schema.js";

const budgetLabel = (budget: NonNullable<Variant["budget"]>): string => {
  const unit = "on" in budget ? `${budget.on} ${budget.unit}` : budget.unit;
  return budget.share === undefined ? unit : `${String(100 * budget.share)} % of ${unit}`;
};

/** What a study varies in a cell, in words: "batch norm 2, start norm/percentile"; "" where nothing. */
export function variantLabel({ variant = {}, hyperparameters }: CellConfig): string {
  const { batchNorm, graph, initialization, budget, search, density, operators } = variant;
  const { quantizerWeightDecay, distillation } = hyperparameters;
  return [
    ...(batchNorm === undefined ? [] : [`batch norm ${String(batchNorm)}`]),
    ...(graph === undefined ? [] : [`graph ${String(graph)}`]),
    ...(initialization === undefined
      ? []
      : [`start ${initialization.weights}/${initialization.activations}`]),
    ...(budget === undefined ? [] : [`for ${budgetLabel(budget)}`]),
    ...(search === undefined ? [] : [`${search} search`]),
    ...(density === undefined ? [] : [`density ${String(density)}`]),
    ...(operators === undefined
      ? []
      : [operators === "random" ? "random operators" : `all ${operators}`]),
    ...(distillation === undefined
      ? []
      : [`distilled ${String(distillation.weight)} at ${String(distillation.temperature)}`]),
    ...(quantizerWeightDecay === undefined ? [] : [`scale decay ${String(quantizerWeightDecay)}`]),
  ].join(", ");
}
