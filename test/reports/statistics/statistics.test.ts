import chisquareCdf from "@stdlib/stats-base-dists-chisquare-cdf";
import studentizedRangeQuantile from "@stdlib/stats-base-dists-studentized-range-quantile";
import tQuantile from "@stdlib/stats-base-dists-t-quantile";
import padjust from "@stdlib/stats-padjust";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { friedman, nemenyiQuantile } from "../../../reports/statistics/friedman.js";
import { holm } from "../../../reports/statistics/holm.js";
import { mean, meanMargin, standardDeviation } from "../../../reports/statistics/moments.js";
import { ranks } from "../../../reports/statistics/ranks.js";

describe("intervals of means", () => {
  test("are those of Student's t distribution", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 2, maxLength: 30 }),
        (values) => {
          const quantile = tQuantile(0.975, values.length - 1);
          const expected =
            (quantile * (standardDeviation(values) ?? NaN)) / Math.sqrt(values.length);
          // jstat's quantiles are right to 3e-8 of themselves.
          expect(Math.abs((meanMargin(values) ?? NaN) - expected)).toBeLessThanOrEqual(
            1e-7 * expected,
          );
        },
      ),
    );
  });

  test("86, 88 and 87.5 have 87.17 with 2.59 on each side (SciPy: 84.581 to 89.752)", () => {
    const values = [86, 88, 87.5];
    expect(mean(values) - (meanMargin(values) ?? NaN)).toBeCloseTo(84.58109, 4);
  });

  test("need two values", () => {
    expect(meanMargin([1])).toBeUndefined();
  });
});

test("Holm's correction is that of an established package", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 }),
      (pValues) => {
        const expected = padjust(pValues, "holm");
        holm(pValues).forEach((value, i) => {
          expect(value).toBeCloseTo(expected[i] ?? NaN, 12);
        });
      },
    ),
  );
});

describe("Friedman's test", () => {
  // Accuracies of four variants of C4.5 on 14 data sets: Demsar (2006), table 6.
  const demsar = [
    [0.763, 0.768, 0.771, 0.798],
    [0.599, 0.591, 0.59, 0.569],
    [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657],
    [0.882, 0.888, 0.886, 0.898],
    [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685],
    [0.583, 0.583, 0.563, 0.625],
    [0.775, 0.838, 0.866, 0.875],
    [1, 1, 1, 1],
    [0.94, 0.962, 0.965, 0.962],
    [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975],
    [0.957, 0.978, 0.946, 0.97],
  ];

  test("has the ranks and the critical difference of Demsar's example", () => {
    const { meanRanks, criticalDifference } = friedman(demsar);
    expect(meanRanks.map((rank) => Math.round(1000 * rank))).toEqual([3143, 2000, 2893, 1964]);
    expect(criticalDifference).toBeCloseTo(1.25, 2); // at 0.05, there
  });

  test("has SciPy's statistic and p value, corrected for ties", () => {
    const { statistic, pValue } = friedman(demsar);
    expect(statistic).toBeCloseTo(10.228346457, 8);
    expect(pValue).toBeCloseTo(0.01672158, 7);
    expect(pValue).toBeCloseTo(1 - chisquareCdf(statistic, 3), 10);
  });

  test.each([2, 5, 10, 33])("uses the studentized range's quantile for %i treatments", (k) => {
    const expected = studentizedRangeQuantile(0.95, k, 1e6, 1) / Math.SQRT2;
    expect(nemenyiQuantile(k)).toBeCloseTo(expected, 3);
  });

  test("says that all are equal where they are, and refuses a single block", () => {
    expect(
      friedman([
        [1, 1],
        [2, 2],
      ]).pValue,
    ).toBe(1);
    expect(() => friedman([[1, 2]])).toThrow(/needs 2 blocks/);
  });
});

test("equal values share the mean of their ranks", () => {
  expect(ranks([10, 20, 10, 5])).toEqual([2.5, 4, 2.5, 1]);
});
