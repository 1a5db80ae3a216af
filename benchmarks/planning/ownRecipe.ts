import type { Algorithm } from "../../algorithms/algorithm.js";
import type { CellConfig } from "../../results/schema.js";
import type { Matrix } from "./matrix.js";

type Hyperparameters = Matrix["hyperparameters"];
type Listed = Extract<Matrix["models"][number], { readonly file: string }>;

/** Of the peak rate with which a network was trained. */
const SHARE_OF_RATE = 0.01;
/** Where that is not known: what a network trained at the usual 0.1 gets. */
const GENTLE_RATE = 0.001;

/**
 * The recipe for a network that came trained, whatever a matrix does to networks of its own: a peak
 * rate that moves weights little, and batch norm as it arrived.
 */
export function ownRecipe(
  hyperparameters: Hyperparameters,
  { fineTuning }: Listed,
): Hyperparameters {
  const { quantizedTraining } = hyperparameters;
  const { trainedAt, epochs = quantizedTraining.epochs, batchNorm = "frozen" } = fineTuning ?? {};
  const gentle = trainedAt === undefined ? GENTLE_RATE : SHARE_OF_RATE * trainedAt;
  const otherwise = Math.min(quantizedTraining.learningRate, gentle);
  const { learningRate = otherwise } = fineTuning ?? {};
  return {
    ...hyperparameters,
    quantizedTraining: { epochs, learningRate },
    fineTuning: { batchNorm },
  };
}

/**
 * Trained algorithms start from grids that fit the trained weights and activations best: at a gentle rate
 * a first grid from a formula is not left behind (LSQ's own has 15 % accuracy at four bits where the
 * least squared error has 78).
 */
export function ownVariant(
  { phases, reconstruction, weight, activation }: Algorithm,
  variant: CellConfig["variant"],
): CellConfig["variant"] {
  const trains = typeof phases === "function" || phases.length > 0;
  const starts = weight.startsFromGrid === true || activation.startsFromGrid === true;
  if (!trains || reconstruction !== undefined || !starts || variant?.initialization !== undefined)
    return variant;
  return { ...variant, initialization: { weights: "mse", activations: "mse" } };
}
