import { expect, test } from "vitest";
import { operatorsOf, operatorsSum } from "../../reports/operators.js";

const both = {
  float: {
    "Conv 1x1": { count: 34, microseconds: 639 },
    Gemm: { count: 1, microseconds: 12.83 },
    ReorderOutput: { count: 8, microseconds: 63.3 },
  },
  quantized: {
    QuantizeLinear: { count: 1, microseconds: 16.1 },
    "QLinearConv 1x1": { count: 30, microseconds: 812.4 },
    "Conv 1x1": { count: 4, microseconds: 50 },
    QGemm: { count: 1, microseconds: 16.5 },
  },
};

test("operators stand beside what computes the same in the other graph", () => {
  expect(operatorsOf(both)).toEqual([
    ["Conv 1x1", "34", "639", "QLinearConv 1x1", "30", "812"],
    ["Conv 1x1", "–", "–", "Conv 1x1", "4", "50.0"],
    ["Gemm", "1", "12.8", "QGemm", "1", "16.5"],
    ["QuantizeLinear", "–", "–", "QuantizeLinear", "1", "16.1"],
    ["ReorderOutput", "8", "63.3", "–", "–", "–"],
  ]);
});

test("and add up", () => {
  expect(operatorsSum(both)).toEqual({
    float: { count: 43, microseconds: "715" },
    quantized: { count: 36, microseconds: "895" },
  });
});
