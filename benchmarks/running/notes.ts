import type { Dataset } from "../../pipelines/train/index.js";
import type { OwnNetwork } from "../inputs/index.js";
import { type Matrix, ownRecipe } from "../planning/index.js";

/** What whoever runs a matrix should know of own networks and images, before it is too late. */
export function notesOn(
  { dataset, hyperparameters, models }: Matrix,
  own: readonly OwnNetwork[],
  { classNames, classes }: Dataset,
): string[] {
  const listed = typeof dataset === "string" ? undefined : dataset.preprocessing?.classes;
  const rate = (model: Matrix["models"][number]) =>
    "file" in model ? ownRecipe(hyperparameters, model).quantizedTraining.learningRate : undefined;
  const rates = new Set(models.map(rate).filter((one) => one !== undefined));
  return [
    ...own.flatMap(({ name, notes = [] }) => notes.map((note) => `${name}: ${note}`)),
    ...own
      .filter(({ classes: scores }) => classNames && listed === undefined && scores > classes)
      .map(
        ({ name, classes: scores }) =>
          `${name} gives ${String(scores)} scores, and there are folders of ${String(classes)} classes: they are taken for the first ` +
          `scores in alphabetical order (${(classNames ?? []).slice(0, 3).join(", ")}, ...); name "classes" in the preprocessing if that is wrong`,
      ),
    ...[...rates]
      .filter((one) => one !== hyperparameters.quantizedTraining.learningRate)
      .map(
        (one) =>
          `quantized training of networks from files has the peak rate ${String(one)} instead of the matrix's ` +
          `${String(hyperparameters.quantizedTraining.learningRate)}; "fineTuning" at the model chooses another`,
      ),
  ];
}
