import { describe, expect, test } from "vitest";
import {
  interpolation,
  logitGradient,
  sampleTwo,
} from "../../../algorithms/search/channelMixing.js";
import { moved, softmax } from "../../../algorithms/search/widthChoices.js";
import { randomStream } from "../../../pipelines/engine/index.js";

describe("channel-wise interpolation", () => {
  const apply = (x: readonly number[], to: number) => {
    const { data } = interpolation(x.length, to, 8);
    return Array.from({ length: to }, (_, t) =>
      x.reduce((sum, value, channel) => sum + value * (data[channel * 8 + t] ?? NaN), 0),
    );
  };

  test("is the identity between equal widths, and keeps constant channels", () => {
    expect(apply([1, 2, 3, 4, 5], 5)).toEqual([1, 2, 3, 4, 5]);
    for (const to of [3, 5, 7, 8])
      for (const value of apply([2, 2, 2, 2, 2], to)) expect(value).toBeCloseTo(2, 6);
  });

  test("averages pairs to half as many, and overlapping channels to more", () => {
    expect(apply([1, 3, 5, 9], 2)).toEqual([2, 7]);
    // Of 2 to 3: floor and ceil of 0, 2/3, 4/3, 2.
    expect(apply([1, 3], 3)).toEqual([1, 2, 3]);
  });
});

describe("preferences", () => {
  test("are drawn without replacement, and their parts add up to 1", () => {
    const random = randomStream(3, "draws");
    const counts = [0, 0, 0];
    const choices = { ...{ widths: [1, 2, 3], moments: [] }, logits: [0, 0, Math.log(8)] };
    for (let i = 0; i < 3000; i++) {
      const { picked, parts } = sampleTwo(choices, 1, random);
      expect(picked[0]).not.toBe(picked[1]);
      expect(parts[0] + parts[1]).toBeCloseTo(1, 12);
      for (const one of picked) counts[one] = (counts[one] ?? 0) + 1;
    }
    expect(counts[2]).toBeGreaterThan(2400);
    expect(Math.abs((counts[0] ?? 0) - (counts[1] ?? 0))).toBeLessThan(300);
  });

  test("have the gradient of softmax over the two that were drawn", () => {
    const [noise, temperature] = [[0.3, -0.2, 0.9], 0.7];
    const byParts = [1.5, -0.4];
    const picked = [2, 0] as const;
    const partsAt = (logits: readonly number[]) => {
      const u = softmax(logits).map(
        (chance, i) => (Math.log(chance) + (noise[i] ?? 0)) / temperature,
      );
      const [a = NaN, b = NaN] = softmax(picked.map((i) => u[i] ?? NaN));
      return [a, b] as const;
    };
    const lossAt = (logits: readonly number[]) => {
      const [a, b] = partsAt(logits);
      return 1.5 * a - 0.4 * b;
    };
    const logits = [0.2, -0.5, 0.4];
    const sample = { picked, parts: partsAt(logits) };
    const choices = { widths: [1, 2, 3], moments: [], logits };
    const found = logitGradient(choices, sample, { byParts, temperature });
    logits.forEach((_, i) => {
      const at = (step: number) => lossAt(logits.map((v, j) => (j === i ? v + step : v)));
      expect(found[i]).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 6);
    });
  });

  test("move with Adam: a first step of the rate against the sign of the gradient", () => {
    const { logits } = moved(
      {
        widths: [1, 2],
        logits: [0, 0],
        moments: [
          [0, 0],
          [0, 0],
        ],
      },
      [0.02, -3],
      { rate: 0.1, decay: 0, step: 1 },
    );
    expect(logits[0]).toBeCloseTo(-0.1, 5);
    expect(logits[1]).toBeCloseTo(0.1, 5);
  });
});
