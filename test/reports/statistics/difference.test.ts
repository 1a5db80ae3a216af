import { describe, expect, test } from "vitest";
import {
  estimateDifference,
  marginOf,
  type Measurement,
} from "../../../reports/statistics/difference.js";
import { countBits, decodeCorrect, encodeCorrect } from "../../../results/correctImages.js";

/** A network of which it is only known how many of 10,000 images are right. */
const counted = (seed: number, accuracy: number): Measurement => ({
  ...{ seed, accuracy },
  images: 10_000,
});

/** A network that is right on the images of these ranges. */
function rightOn(seed: number, images: number, ...ranges: [from: number, to: number][]) {
  const right = Array.from({ length: images }, (_, i) =>
    ranges.some(([from, to]) => i >= from && i < to),
  );
  return {
    ...{ seed, images },
    accuracy: right.filter(Boolean).length / images,
    correct: decodeCorrect(encodeCorrect(right), images),
  };
}

describe("the difference of two networks", () => {
  // 100 images only the first, 40 only the second: McNemar's z is 60 / sqrt(140) = 5.07; with two
  // images added the variance is (141 / 10002 - (60 / 10002)^2) / 10002 = 1.4059e-6.
  test("is judged by the images that only one of them classifies right", () => {
    const found = estimateDifference(
      [rightOn(0, 10_000, [0, 8800])],
      [rightOn(0, 10_000, [100, 8840])],
    );
    expect(found).toMatchObject({ basis: "test images", paired: true, seeds: 1 });
    expect(found?.mean).toBeCloseTo(0.006, 12);
    expect(found?.standardError).toBeCloseTo(Math.sqrt(1.4059e-6), 7);
  });

  test("has half the band that the same accuracies have without their images", () => {
    const [a, b] = [rightOn(0, 10_000, [0, 8800]), rightOn(0, 10_000, [100, 8840])];
    const paired = estimateDifference([a], [b]);
    const independent = estimateDifference([counted(0, a.accuracy)], [counted(0, b.accuracy)]);
    // sqrt((0.88 x 0.12 + 0.874 x 0.126) / 10000) = 0.004645
    expect(independent?.standardError).toBeCloseTo(0.004645, 6);
    expect(independent).toMatchObject({ paired: false });
    expect(paired?.standardError).toBeLessThan(0.5 * (independent?.standardError ?? NaN));
  });

  test("is not known to be 0 where two networks agree on every image", () => {
    const [a, b] = [rightOn(0, 100, [0, 90]), rightOn(0, 100, [0, 90])];
    // Two images more: sqrt((1 / 102) / 102).
    expect(estimateDifference([a], [b])?.standardError).toBeCloseTo(1 / 102, 12);
  });
});

describe("the difference of repetitions", () => {
  // Differences 3.35, 6.5 and 2.45 points: mean 4.1, deviation 2.1266; its t interval of 90 % is
  // 2.91999 x 2.1266 / sqrt(3) = 3.585.
  test("is paired by seeds where images are not known", () => {
    const found = estimateDifference(
      [counted(0, 0.8836), counted(1, 0.8862), counted(2, 0.883)],
      [counted(2, 0.8585), counted(0, 0.8501), counted(1, 0.8212)],
    );
    expect(found).toMatchObject({ basis: "seeds", seeds: 3, paired: true, degreesOfFreedom: 2 });
    expect(100 * (found?.mean ?? NaN)).toBeCloseTo(4.1, 10);
    expect(found && 100 * marginOf(found, 0.9)).toBeCloseTo(3.5852, 3);
  });

  // Seeds differ by 0.02 and 0.04 (variance of their mean 0.0001). Images: 2 to 4 of 100 differ in
  // both seeds, 4 to 6 in the second only, so the squares of mean differences sum to
  // 2 x 1 + 2 x 0.25 = 2.5, and the variance is ((2.5 + 1) / 102 - (3 / 102)^2) / 102 = 3.2793e-4.
  test("adds what seeds and what images make uncertain", () => {
    const found = estimateDifference(
      [rightOn(0, 100, [2, 90]), rightOn(1, 100, [2, 90])],
      [rightOn(0, 100, [4, 90]), rightOn(1, 100, [6, 90])],
    );
    expect(found).toMatchObject({ basis: "seeds and test images", seeds: 2 });
    expect(found?.mean).toBeCloseTo(0.03, 12);
    expect(found?.standardError).toBeCloseTo(Math.sqrt(0.0001 + 3.2793e-4), 6);
    // Satterthwaite: (4.2793 / 1)^2 x 1 degree of freedom.
    expect(found?.degreesOfFreedom).toBeCloseTo(4.2793 ** 2, 2);
  });

  // Deviation 0.05 over three seeds; against one seed the variance is 0.05^2 x (1/3 + 1) with 2
  // degrees of freedom: 4.3027 x 0.057735 = 0.2484.
  test("takes the spread of a group where only one seed is common", () => {
    const found = estimateDifference(
      [counted(0, 0.7), counted(1, 0.75), counted(2, 0.8)],
      [counted(0, 0.6)],
    );
    expect(found).toMatchObject({ basis: "seeds", paired: false, degreesOfFreedom: 2 });
    expect(found?.mean).toBeCloseTo(0.15, 12);
    expect(found && marginOf(found, 0.95)).toBeCloseTo(0.2484, 4);
  });

  test("is nothing where a group is empty", () => {
    expect(estimateDifference([], [counted(0, 0.5)])).toBeUndefined();
  });
});

describe("test images that are right", () => {
  test("are read as they were written", () => {
    const right = [true, false, false, true, false, false, false, false, true, true];
    expect(encodeCorrect(right)).toBe("CQM="); // 0b00001001, 0b00000011
    const words = decodeCorrect("CQM=", 10);
    expect([...new Uint8Array(words.buffer)]).toEqual([9, 3, 0, 0]);
    expect(countBits(words)).toBe(4);
    expect(countBits(Uint32Array.of(0xffffffff, 0x80000001, 0))).toBe(34);
  });

  test.each([
    ["CQM=", 17, "2 bytes where 17 images take 3"],
    ["CQM=", 9, "beyond the last image"],
    ["CQM", 10, "base64"],
    ["CQ M=", 10, "base64"],
    ["CQN=", 10, "base64"],
  ])("%s are not those of %i images", (text, images, reason) => {
    expect(() => decodeCorrect(text, images)).toThrow(reason);
  });
});
