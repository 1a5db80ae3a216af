import { describe, expect, test } from "vitest";
import { adaRound } from "../../../algorithms/adaRound.js";
import { lsq } from "../../../algorithms/lsq.js";
import { minMax } from "../../../algorithms/minMax.js";
import { loadMatrix } from "../../../benchmarks/planning/matrix.js";
import { ownRecipe, ownVariant } from "../../../benchmarks/planning/ownRecipe.js";

const { hyperparameters: smoke } = await loadMatrix("smoke");
const hyperparameters = { ...smoke, quantizedTraining: { epochs: 2, learningRate: 0.01 } };
const file = "net.onnx";

describe("the recipe of a network that came trained", () => {
  test("moves weights little and keeps batch norm", () => {
    expect(ownRecipe(hyperparameters, { file })).toEqual({
      ...hyperparameters,
      quantizedTraining: { epochs: 2, learningRate: 0.001 },
      fineTuning: { batchNorm: "frozen" },
    });
  });
  test("follows the rate that the network was trained with, and never raises the matrix's", () => {
    const rate = (trainedAt: number) =>
      ownRecipe(hyperparameters, { file, fineTuning: { trainedAt } }).quantizedTraining
        .learningRate;
    expect(rate(0.05)).toBeCloseTo(0.0005, 12);
    expect(rate(5)).toBe(0.01);
  });
  test("is what the matrix says where it says something", () => {
    const fineTuning = { learningRate: 0.2, epochs: 3, batchNorm: "learned" } as const;
    expect(ownRecipe(hyperparameters, { file, fineTuning })).toMatchObject({
      quantizedTraining: { epochs: 3, learningRate: 0.2 },
      fineTuning: { batchNorm: "learned" },
    });
  });
  test("starts learned grids from what fits best, unless a study starts them elsewhere", () => {
    const best = { initialization: { weights: "mse", activations: "mse" } };
    expect(ownVariant(lsq, undefined)).toEqual(best);
    expect(ownVariant(lsq, { graph: 2 })).toEqual({ graph: 2, ...best });
    const norm = { initialization: { weights: "norm", activations: "norm" } };
    expect(ownVariant(lsq, norm)).toBe(norm);
    expect(ownVariant(minMax, undefined)).toBeUndefined();
    expect(ownVariant(adaRound, undefined)).toBeUndefined();
  });
});
