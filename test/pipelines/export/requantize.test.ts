import fc from "fast-check";
import * as ort from "../../../pipelines/onnxruntime.js";
import { describe, expect, test } from "vitest";
import type { IntegerArithmetic } from "../../../backends/backend.js";
import { litert } from "../../../backends/litert.js";
import { onnxQnn } from "../../../backends/onnxQnn.js";
import { snpe } from "../../../backends/snpe.js";
import { vitis } from "../../../backends/vitis.js";
import { fixedPoint } from "../../../pipelines/export/integers/fixedPoint.js";
import { requantize } from "../../../pipelines/export/integers/requantize.js";
import type { Codes, Target } from "../../../pipelines/export/integers/steps.js";
import { centered } from "../../../pipelines/export/integers/values.js";
import { addOptions } from "../../../pipelines/export/tflite/options.js";
import { TfliteModel } from "../../../pipelines/export/tflite/tfliteModel.js";
import { randomStream } from "../../../pipelines/engine/index.js";
import { findRuntime, scoresOn } from "../../../pipelines/deploy/index.js";
import { OnnxGraph } from "../../../pipelines/onnx/index.js";

/** Requantizes sums in a graph of its own. */
async function requantized(
  sums: readonly number[],
  step: number,
  target: Target,
  arithmetic: Pick<IntegerArithmetic, "multiplier" | "rounding">,
): Promise<number[]> {
  const graph = new OnnxGraph();
  graph.input("sums", "int32", ["n"]);
  const term = { tensor: "sums", steps: Float32Array.of(step), divisor: 1 };
  const codes = requantize(graph, [term], target, { ...arithmetic, source: "" });
  graph.output("codes", codes, "uint8", ["n"]);
  const session = await ort.InferenceSession.create(graph.toBytes("requantize"));
  const input = new ort.Tensor("int32", Int32Array.from(sums), [sums.length]);
  const results = await session.run({ sums: input });
  await session.release();
  return Array.from(results["codes"]?.data as Uint8Array);
}

/** Whole part and ties by the rule's definition, in exact integers: value = numerator / 2^shift. */
function roundedExactly(numerator: bigint, shift: bigint, rounding: string): bigint {
  const one = 1n << shift;
  const below = numerator >> shift; // towards minus infinity
  const rest = 2n * (numerator - (below << shift));
  if (rest !== one) return rest > one ? below + 1n : below;
  switch (rounding) {
    case "halfUp":
      return below + 1n;
    case "halfAwayFromZero":
      return numerator > 0n ? below + 1n : below;
    case "halfToEven":
      return below % 2n === 0n ? below : below + 1n;
    default: // the DPU: negative ties up, positive ones to even
      return numerator < 0n || below % 2n !== 0n ? below + 1n : below;
  }
}
const saturated = (code: bigint, { zeroPoint, low, high }: Target): number =>
  Math.min(high, Math.max(low, Number(code) + zeroPoint));

const sums = fc.array(fc.integer({ min: -(2 ** 24), max: 2 ** 24 }), {
  minLength: 1,
  maxLength: 200,
});
/** Half of them with a ReLU, which leaves nothing below the zero point. */
const targets = fc
  .record({
    scale: fc.constant(1),
    zeroPoint: fc.integer({ min: 0, max: 255 }),
    low: fc.integer({ min: 0, max: 20 }),
    high: fc.integer({ min: 200, max: 255 }),
    pixelAxes: fc.constant(0),
    isRectified: fc.boolean(),
  })
  .map(({ isRectified, ...target }) => ({
    ...target,
    low: isRectified ? Math.min(target.zeroPoint, target.high) : target.low,
  }));

describe("sums become integers", () => {
  test.each(["halfUp", "halfToEven", "halfAwayFromZero", "dpu"] as const)(
    "by a shift, ties %s",
    async (rounding) => {
      await fc.assert(
        fc.asyncProperty(sums, targets, fc.integer({ min: 1, max: 22 }), async (all, target, n) => {
          // Ties, and what is next to them.
          const codes = all.map((sum) => sum % 256);
          const ties = codes.map((code, i) => code * 2 ** n + 2 ** (n - 1) + ((i % 3) - 1));
          const values = [...all, ...ties];
          const expected = values.map((sum) =>
            saturated(roundedExactly(BigInt(sum), BigInt(n), rounding), target),
          );
          const arithmetic = { multiplier: "shift", rounding } as const;
          expect(await requantized(values, 2 ** -n, target, arithmetic)).toEqual(expected);
        }),
        { numRuns: 25, seed: 4 },
      );
    },
  );

  // Below 2^-13 float64 does not hold every product.
  test.each([
    ["halfUp", 2 ** -13, 0.9],
    ["halfAwayFromZero", 2 ** -13, 0.9],
    ["halfUp", 1e-6, 2 ** -13],
    ["halfAwayFromZero", 1e-6, 2 ** -13],
  ] as const)(
    "by a multiplier of 31 bits and a shift, ties %s, factors from %f to %f",
    async (rounding, min, max) => {
      await fc.assert(
        fc.asyncProperty(
          sums,
          targets,
          fc.double({ min, max, noNaN: true }),
          async (all, target, factor) => {
            const step = Math.fround(factor);
            const { mantissa, shift } = fixedPoint(step);
            const expected = all.map((sum) =>
              saturated(
                roundedExactly(BigInt(sum) * BigInt(mantissa), BigInt(shift), rounding),
                target,
              ),
            );
            const arithmetic = { multiplier: "fixedPoint", rounding } as const;
            expect(await requantized(all, step, target, arithmetic)).toEqual(expected);
          },
        ),
        { numRuns: 25, seed: 5 },
      );
    },
  );

  test("by a multiplier of 31 bits where float64 does not hold the product", async () => {
    // 8074137 * 1747423063 = (2 * 200 + 1) * 2^45 - 1: just below a tie, by the last of 54 bits.
    const target = { scale: 2 ** 46 / 1747423063, zeroPoint: 0, low: 0, high: 255, pixelAxes: 0 };
    expect(fixedPoint(1 / target.scale)).toEqual({ mantissa: 1747423063, shift: 46 });
    const arithmetic = { multiplier: "fixedPoint", rounding: "halfUp" } as const;
    expect(await requantized([8074137, 8074138], 1, target, arithmetic)).toEqual([200, 201]);
  });

  test("by a float32 multiplier, ties to even before the zero point", async () => {
    const target: Target = { scale: 0.5, zeroPoint: 3, low: 0, high: 255, pixelAxes: 0 };
    const arithmetic = { multiplier: "float", rounding: "halfToEven" } as const;
    // 0.25 / 0.5 = 1 / 2: ties at odd sums.
    expect(await requantized([-7, -3, -1, 1, 3, 5, 600], 0.25, target, arithmetic)).toEqual([
      0, 1, 3, 3, 5, 5, 255,
    ]);
  });

  test("by a float32 multiplier, ties away from zero", async () => {
    const target: Target = { scale: 0.5, zeroPoint: 10, low: 0, high: 255, pixelAxes: 0 };
    const arithmetic = { multiplier: "float", rounding: "halfAwayFromZero" } as const;
    expect(await requantized([-3, -1, 1, 3], 0.25, target, arithmetic)).toEqual([8, 9, 11, 12]);
  });
});

const BYTES = Array.from({ length: 256 }, (_, code) => code);
/** Every pair of bytes: the first of each, and the second. */
const PAIRS = [BYTES.flatMap((a) => BYTES.map(() => a)), BYTES.flatMap(() => BYTES)] as const;

interface Addition {
  readonly a: Pick<Codes, "scale" | "zeroPoint">;
  readonly b: Pick<Codes, "scale" | "zeroPoint">;
  readonly sum: Target;
}

/** All pairs of bytes, added on their grids by LiteRT itself; int8 there is the byte less 128. */
async function addedByLiteRt({ a, b, sum }: Addition): Promise<number[]> {
  const model = new TfliteModel();
  const shape = [1, 1, 1, PAIRS[0].length];
  const int8 = (name: string, grid: Addition["a"], data?: Int8Array) =>
    model.tensor({
      ...{ name, type: "int8", shape, ...(data && { data }) },
      grid: { scale: [grid.scale], zeroPoint: [grid.zeroPoint - 128] },
    });
  const image = model.tensor({ name: "image", type: "float32", shape });
  const first = model.add("QUANTIZE", [image], int8("a", a));
  const second = int8(
    "b",
    b,
    Int8Array.from(PAIRS[1], (code) => code - 128),
  );
  const added = model.add("ADD", [first, second], int8("sum", sum), addOptions(0));
  const real = model.tensor({ name: "real", type: "float32", shape });
  model.add("DEQUANTIZE", [added], real);
  const bytes = model.toBytes(image, [real], { name: "add", description: "" });
  const images = Float32Array.from(PAIRS[0], (code) => (code - a.zeroPoint) * a.scale);
  const file = { bytes, shape: [PAIRS[0].length, 1, 1], batch: 1, output: "real" };
  const [values = []] = await scoresOn(findRuntime("litert"), file, [images]);
  return Array.from(values, (value) => Math.round(value / sum.scale) + sum.zeroPoint);
}

/** The same in the integer reference. */
async function addedByReference(
  { a, b, sum }: Addition,
  arithmetic: IntegerArithmetic,
): Promise<number[]> {
  const graph = new OnnxGraph();
  const terms = Object.entries({ a, b }).map(([name, codes]) => {
    graph.input(name, "uint8", ["n"]);
    return centered(graph, { ...codes, tensor: name });
  });
  graph.output("sum", requantize(graph, terms, sum, arithmetic), "uint8", ["n"]);
  const session = await ort.InferenceSession.create(graph.toBytes("add"));
  const bytes = (codes: readonly number[]) =>
    new ort.Tensor("uint8", Uint8Array.from(codes), [codes.length]);
  const results = await session.run({ a: bytes(PAIRS[0]), b: bytes(PAIRS[1]) });
  await session.release();
  return Array.from(results["sum"]?.data as Uint8Array);
}

describe("LiteRT's additions are those of its integer reference, for every pair of bytes", () => {
  const random = randomStream(11, "grids");
  const grid = (scale: number) => ({ scale, zeroPoint: Math.floor(256 * random.uniform()) });
  const scale = () => Math.fround(2 ** (4 * random.uniform() - 2));
  const additions = [
    ...[[1, 1, 2] as const, [1, 0.5, 2] as const, [0.25, 2, 4] as const],
    ...Array.from({ length: 6 }, () => [scale(), scale(), scale()] as const),
  ];
  test.each(additions)("scales %f and %f to %f", async (a, b, sum) => {
    const target = { ...grid(sum), low: 0, high: 255, pixelAxes: 0 };
    const addition = { a: grid(a), b: grid(b), sum: target };
    expect(await addedByReference(addition, litert.arithmetic)).toEqual(
      await addedByLiteRt(addition),
    );
  });
});

describe("every pair of bytes is added as the device's arithmetic is defined", () => {
  const [low, high, pixelAxes] = [0, 255, 0];
  const expected = (code: (a: number, b: number) => bigint, target: Target): number[] =>
    PAIRS[0].map((a, i) => saturated(code(a, PAIRS[1][i] ?? NaN), target));

  // The last one's factors are too far apart for float32.
  test.each([
    [2 ** -3, 2 ** -1, 2 ** 1],
    [2 ** -9, 2 ** -2, 2 ** -3],
    [2 ** -1, 2 ** -22, 1],
  ])("on the DPU, scales %f and %f to %f", async (a, b, scale) => {
    const sum = { ...{ scale, zeroPoint: 128 }, low, high, pixelAxes };
    const grids = { a: { scale: a, zeroPoint: 128 }, b: { scale: b, zeroPoint: 120 } };
    const shift = 22; // every factor times 2^22 is a whole number
    const whole = (step: number) => BigInt((step / scale) * 2 ** shift);
    const codes = expected((x, y) => {
      const numerator = BigInt(x - 128) * whole(a) + BigInt(y - 120) * whole(b);
      return roundedExactly(numerator, BigInt(shift), "dpu");
    }, sum);
    expect(await addedByReference({ ...grids, sum }, vitis.arithmetic)).toEqual(codes);
  });

  // Jacob et al., 2018: a sum of products has one shift, that of the largest factor; TVM rounds each product.
  // The last one's second factor is too small for float64.
  const scales = [
    [0.1, 0.07, 0.13],
    [1.7, 0.02, 0.9],
    [0.5, 2 ** -15 * 1.3, 1],
  ] as const;
  test.each(scales)("on SNPE, scales %f and %f to %f", async (a, b, scale) => {
    const sum = { ...{ scale, zeroPoint: 30 }, low, high, pixelAxes };
    const grids = { a: { scale: a, zeroPoint: 3 }, b: { scale: b, zeroPoint: 200 } };
    const forms = [a, b].map((step) => fixedPoint(Math.fround(step) / scale));
    const shift = Math.min(...forms.map((form) => form.shift));
    const [p = 0n, q = 0n] = forms.map((form) =>
      BigInt(Math.round(form.mantissa / 2 ** (form.shift - shift))),
    );
    const codes = expected((x, y) => {
      const numerator = BigInt(x - 3) * p + BigInt(y - 200) * q;
      return roundedExactly(numerator, BigInt(shift), "halfAwayFromZero");
    }, sum);
    expect(await addedByReference({ ...grids, sum }, snpe.arithmetic)).toEqual(codes);
  });
  test.each(scales)("on ONNX QNN, scales %f and %f to %f", async (a, b, scale) => {
    const sum = { ...{ scale, zeroPoint: 30 }, low, high, pixelAxes };
    const grids = { a: { scale: a, zeroPoint: 3 }, b: { scale: b, zeroPoint: 200 } };
    const [p, q] = [a, b].map((step) => fixedPoint(Math.fround(step) / scale));
    const alone = (value: number, form = fixedPoint(1)) =>
      roundedExactly(BigInt(value) * BigInt(form.mantissa), BigInt(form.shift), "halfUp");
    const codes = expected((x, y) => alone(x - 3, p) + alone(y - 200, q), sum);
    expect(await addedByReference({ ...grids, sum }, onnxQnn.arithmetic)).toEqual(codes);
  });
});

test("a multiplier's mantissa has 31 bits (Jacob et al., 2018)", () => {
  expect(fixedPoint(0.5)).toEqual({ mantissa: 2 ** 30, shift: 31 });
  expect(fixedPoint(0.75)).toEqual({ mantissa: 3 * 2 ** 29, shift: 31 });
  expect(fixedPoint(0.1)).toEqual({ mantissa: Math.round(0.1 * 2 ** 34), shift: 34 });
});
