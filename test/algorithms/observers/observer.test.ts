import { expect, test } from "vitest";
import { coverRange, roundHalfToEven } from "../../../algorithms/observers/index.js";
import { int4, site } from "../../support.js";

test.each([
  [0.5, 0],
  [1.5, 2],
  [2.5, 2],
  [-0.5, 0],
  [-1.5, -2],
  [2.4, 2],
  [-2.6, -3],
])("roundHalfToEven(%d) is %d", (value, expected) => {
  expect(roundHalfToEven(value) + 0).toBe(expected);
});

// PyTorch's observers: (quantMax - quantMin) / 2 steps on each side of a symmetric range.
test("a signed symmetric range reaches 7.5 steps at 4 bits", () => {
  const { scale, zeroPoint } = coverRange({ min: -3, max: 1.5 }, site());
  expect(scale).toBe(Math.fround(3 / 7.5));
  expect(zeroPoint).toBe(0);
});

test("an unsigned symmetric range ends at its maximum", () => {
  const unsigned = site({ scheme: { ...int4, signed: false } });
  expect(coverRange({ min: 0, max: 3 }, unsigned).scale).toBe(Math.fround(3 / 15));
});

test("an affine range represents 0 exactly", () => {
  const affine = site({ scheme: { ...int4, signed: false, symmetric: false } });
  expect(coverRange({ min: -1, max: 2 }, affine)).toEqual({
    scale: Math.fround(3 / 15),
    zeroPoint: 5,
  });
  expect(coverRange({ min: 1, max: 3 }, affine)).toEqual({
    scale: Math.fround(3 / 15),
    zeroPoint: 0,
  });
});

test("a power-of-two range has a scale on the grid", () => {
  const shift = site({ scheme: { ...int4, scaleForm: "powerOfTwo" } });
  expect(coverRange({ min: -3, max: 3 }, shift).scale).toBe(0.5);
});

test("a tensor of zeros still gets a positive scale", () => {
  expect(coverRange({ min: 0, max: 0 }, site()).scale).toBeGreaterThan(0);
});
