import { describe, expect, test } from "vitest";
import {
  blockForm,
  toKernel,
  toRows,
  type WeightSite,
} from "../../algorithms/decomposition/blocks.js";
import {
  decompose,
  fit,
  roundToPowers,
  type DecompositionOptions,
} from "../../algorithms/decomposition/decompose.js";
import {
  distance,
  leastSquaresBasis,
  leastSquaresRows,
  product,
} from "../../algorithms/decomposition/matrix.js";
import { nearestPower } from "../../algorithms/decomposition/powerOfTwo.js";
import { project, rebuiltKernel } from "../../algorithms/decomposition/project.js";
import { pruneRows } from "../../algorithms/decomposition/pruneRows.js";
import { retrain } from "../../algorithms/decomposition/retrain.js";
import { decodeBlocks, encodeBlocks } from "../../algorithms/decomposition/storage.js";
import { storedWeights } from "../../algorithms/decomposition/storedWeights.js";
import { smartExchange } from "../../algorithms/smartExchange.js";
import { smartExchangeRetrained } from "../../algorithms/smartExchangeRetrained.js";
import { searchToy } from "../searching.js";
import { normalValues, site } from "../support.js";

const gaussian = (seed: number, rows = 192) =>
  Float64Array.from(normalValues(3 * rows, seed, 0.05));
const norm = (rows: Float64Array) => distance(rows, new Float64Array(rows.length));
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const zeros = (rows: Float64Array) => rows.filter((value) => value === 0).length / rows.length;
const SEEDS = Array.from({ length: 30 }, (_, seed) => seed);

test("powers of two are the nearest in linear distance, the smaller one on a tie", () => {
  const expected = [
    ...[
      [0.7, 0.5],
      [0.75, 0.5],
      [0.76, 1],
      [1.5, 1],
      [1.51, 2],
      [3, 2],
      [0.19, 0.25],
    ],
    ...[
      [-0.75, -0.5],
      [-3.01, -4],
      [0, 0],
      [1, 1],
      [47, 32],
      [1000, 32],
      [-64, -32],
    ],
  ] as const;
  expect(expected.map(([x]) => nearestPower(x))).toEqual(expected.map(([, power]) => power));
  // NASA's rule, round(log2 x), gives 2 here.
  expect(nearestPower(1.45)).toBe(1);
});

/** From NumPy in float64: the same rules written down a second time, with its least squares. */
const BLOCK = [
  ...[0.11, -0.5, 0.9, -1.3, 2.2, 0.02, -0.07, 3.1, 0.4, 0.6, -0.9, 1.7],
  ...[0.3, 0.25, -0.8, -2.4, 0.13, 0.55, 1.9, -1.1, -0.35, 0.05, 0.7, -1.45],
];
test.each([
  {
    options: { threshold: 0 },
    error: 0.6071428751650251,
    coefficients: [
      ...[0.0625, -0.25, 1, -1, 2, -0.0625, -0.0625, 4, 0.5, 0.5, -0.5, 2],
      ...[0.25, 0.125, -1, -2, -0.25, 0.5, 2, -1, -0.25, 0.0625, 0.5, -2],
    ],
    basis: [
      ...[1.103079145, -0.227423954, -0.064356203, -0.003667312, 0.824902168, 0.000006698],
      ...[0.013406199, -0.195509864, 0.805474825],
    ],
  },
  {
    options: { threshold: 0.3, rowRule: true },
    error: 1.1414605290215072,
    coefficients: [
      ...[0, -0.5, 1, -1, 2, 0, 0, 4, 0.5, 0.5, -1, 2],
      ...[0, 0, 0, -2, 0, 0.5, 2, -1, 0, 0, 0.5, -2],
    ],
    basis: [
      ...[1.091753827, -0.150503827, -0.108380102, -0.022506023, 0.826186579, -0.007225765],
      ...[-0.006185162, -0.089023172, 0.806753827],
    ],
  },
])("a block with thresholds of $options.threshold", ({ options, error, coefficients, basis }) => {
  const found = decompose(Float64Array.from(BLOCK), { ...options, exponents: 7 });
  expect([...found.coefficients]).toEqual(coefficients);
  expect([...found.basis].map((value) => Math.round(value * 1e9) / 1e9)).toEqual(basis);
  expect(found.error).toBeCloseTo(error, 12);
});

describe("decomposition of Gaussian blocks", () => {
  test("P1: coefficients are 0 or powers of two up to 32", () => {
    const large = gaussian(0).map((value) => value * 1000);
    const { coefficients } = decompose(large, { threshold: 20 });
    for (const value of coefficients)
      if (value !== 0) expect(Number.isInteger(Math.log2(Math.abs(value)))).toBe(true);
    expect(Math.max(...coefficients.map(Math.abs))).toBe(32);
  });

  test("P2: the fitted basis is the best, and fitted coefficients leave nothing", () => {
    const block = gaussian(1);
    const rounded = roundToPowers(block);
    const { basis, error } = fit(rounded, block);
    for (let i = 0; i < 9; i++)
      for (const change of [-1e-3, 1e-3]) {
        const other = basis.map((value, at) => (at === i ? value + change : value));
        expect(distance(block, product(rounded, other))).toBeGreaterThan(error);
      }
    expect(distance(block, product(leastSquaresRows(basis, block), basis))).toBeLessThan(1e-6);
  });

  test("P2: a column without coefficients has a basis row of 0", () => {
    const block = gaussian(2);
    const empty = roundToPowers(block).map((value, i) => (i % 3 === 1 ? 0 : value));
    const basis = leastSquaresBasis(empty, block);
    for (const value of basis.subarray(3, 6)) expect(Math.abs(value)).toBeLessThan(1e-12);
    expect(leastSquaresRows(basis, block).every(Number.isFinite)).toBe(true);
  });

  // Means over 100 blocks from NumPy; 0.8 and more standard deviations of 30 blocks' mean as tolerance.
  test.each([
    { threshold: 0, error: 0.1814, zero: 0 },
    { threshold: 4e-3, error: 0.1826, zero: 0.0655 },
    { threshold: 2e-2, error: 0.2199, zero: 0.308 },
    { threshold: 5e-2, error: 0.451, zero: 0.664 },
  ])("with a threshold of $threshold", ({ threshold, error, zero }) => {
    const found = SEEDS.map((seed) => {
      const block = gaussian(seed);
      const { coefficients, error: distance } = decompose(block, { threshold });
      return { error: distance / norm(block), zero: zeros(coefficients) };
    });
    expect(Math.abs(mean(found.map((one) => one.error)) - error)).toBeLessThan(0.02 * error + 2e-3);
    expect(Math.abs(mean(found.map((one) => one.zero)) - zero)).toBeLessThan(0.02);
  });

  test("P3: is no worse than plain powers of two, from the first basis on", () => {
    for (const seed of SEEDS) {
      const block = gaussian(seed);
      const rounded = roundToPowers(block);
      const plain = distance(block, rounded);
      const first = fit(rounded, block).error;
      expect(first).toBeLessThan(plain);
      expect(decompose(block, { threshold: 0 }).error).toBeLessThanOrEqual(first);
    }
  });

  test("P4: loses more with higher thresholds", () => {
    const errors = [0, 0.005, 0.01, 0.02, 0.04].map((threshold) =>
      mean(SEEDS.map((seed) => decompose(gaussian(seed), { threshold }).error)),
    );
    expect(errors).toEqual(errors.toSorted((a, b) => a - b));
  });

  test("P7: scales with powers of two", () => {
    const [block, options] = [gaussian(3), { threshold: 0.01, rowRule: true, exponents: 7 }];
    const plain = decompose(block, options);
    const rebuilt = product(plain.coefficients, plain.basis);
    const scaled = decompose(
      block.map((value) => value * 8),
      { ...options, threshold: 0.08 } satisfies DecompositionOptions,
    );
    expect(scaled.coefficients).toEqual(plain.coefficients.map((value) => value * 8));
    expect(
      distance(
        product(scaled.coefficients, scaled.basis),
        rebuilt.map((x) => x * 8),
      ),
    ).toBeLessThan(1e-9);
  });
});

const conv: WeightSite = { shape: [3, 3, 5, 2], channelAxis: 3 };

describe("matrix forms", () => {
  test("of 3 x 3 filters have their rows, channel by channel", () => {
    const kernel = Float32Array.from({ length: 90 }, (_, i) => i);
    const form = blockForm(conv);
    if (form === undefined) throw new Error("no form");
    const rows = toRows(form, kernel);
    const at = (row: number, column: number, channel: number, filter: number) =>
      ((row * 3 + column) * 5 + channel) * 2 + filter;
    expect([...rows.slice(0, 6)]).toEqual([
      ...[at(0, 0, 0, 0), at(0, 1, 0, 0), at(0, 2, 0, 0)],
      ...[at(1, 0, 0, 0), at(1, 1, 0, 0), at(1, 2, 0, 0)],
    ]);
    expect(rows[45 + 9]).toBe(at(0, 0, 1, 1));
    expect(toKernel(form, rows)).toEqual(kernel);
  });

  test.each([
    { name: "3 x 3", shape: [3, 3, 64, 2], blocks: [192, 192] },
    { name: "a long 3 x 3", shape: [3, 3, 130, 1], blocks: [130, 130, 130] },
    { name: "1 x 1, filled up", shape: [1, 1, 28, 2], blocks: [10, 10] },
    { name: "dense", shape: [1000, 1], blocks: [167, 167] },
  ])("$name", ({ shape, blocks }) => {
    const form = blockForm({ shape, channelAxis: shape.length - 1 });
    expect(form?.blocks).toEqual(blocks);
  });

  test.each([
    { name: "5 x 5", site: { shape: [5, 5, 8, 8], channelAxis: 3 } },
    { name: "depthwise", site: { shape: [3, 3, 32, 1], channelAxis: 2 } },
    { name: "of too few rows", site: { shape: [3, 3, 2, 8], channelAxis: 3 } },
  ])("there is none for a kernel that is $name", ({ site: one }) => {
    expect(blockForm(one)).toBeUndefined();
  });

  test("rows are pruned where they are weakest in all filters of a group", () => {
    const kernel = Float32Array.from({ length: 90 }, (_, i) => 1 + i);
    const pruned = pruneRows(kernel, 2, 0.4);
    // Of 15 rows the first six: row 0 of all channels, then row 1 of channel 0.
    const zeroed = (row: number, channel: number) =>
      [0, 1, 2].every((column) =>
        [0, 1].every((filter) => pruned[((row * 3 + column) * 5 + channel) * 2 + filter] === 0),
      );
    const found = [0, 1, 2].map((row) => [0, 1, 2, 3, 4].filter((channel) => zeroed(row, channel)));
    expect(found).toEqual([[0, 1, 2, 3, 4], [0], []]);
    expect(pruned.filter((value) => value === 0)).toHaveLength(36);
  });
});

describe("storage", () => {
  const weights = (one: WeightSite) =>
    Float32Array.from(
      normalValues(
        one.shape.reduce((a, b) => a * b),
        5,
        0.05,
      ),
    );
  const large: WeightSite = { shape: [3, 3, 24, 16], channelAxis: 3 };

  test.each([0, 0.3, 0.5, 0.9])(
    "P5: has the bytes of the formula with %f of rows pruned",
    (share) => {
      const projection = project(large, weights(large), { threshold: 0.08, prunedRows: share });
      const form = blockForm(large);
      if (projection === undefined || form === undefined) throw new Error("no projection");
      const { bytes, kernel } = projection;
      const blocks = decodeBlocks(form, bytes);
      // 9 bytes of basis and one of exponent, a bit for a row and 12 for one that is not 0.
      const used = blocks
        .flatMap(({ coefficients }) =>
          Array.from({ length: 72 }, (_, row) => coefficients.slice(3 * row, 3 * row + 3)),
        )
        .filter((row) => row.some((value) => value !== 0)).length;
      expect(bytes).toHaveLength(Math.ceil((16 * (80 + 72) + 12 * used) / 8));
      expect(used / (16 * 72)).toBeLessThanOrEqual(1 - share + 0.02);
      expect(encodeBlocks(blocks)).toEqual(bytes);
      expect(rebuiltKernel(form, blocks)).toEqual(kernel);
    },
  );

  test("P5: compresses more the more rows are pruned", () => {
    const sizes = [0, 0.3, 0.5, 0.9].map(
      (prunedRows) => project(large, weights(large), { threshold: 0.08, prunedRows })?.bytes.length,
    );
    expect(sizes).toEqual(sizes.toSorted((a = 0, b = 0) => b - a));
    expect(new Set(sizes).size).toBe(4);
  });

  test("says what hardware gains", () => {
    const { bytes } = project(large, weights(large), { threshold: 0.08, prunedRows: 0.5 }) ?? {};
    if (bytes === undefined) throw new Error("no projection");
    const stored = { shape: [bytes.length], data: Float32Array.from(bytes) };
    const found = storedWeights({ stored }, site(large));
    expect(found).toMatchObject({ format: "SmartExchange", bytes: bytes.length });
    expect(found?.skipped).toBeGreaterThanOrEqual(0.5);
    expect(found?.skipped).toBeLessThan(0.55);
    expect(found?.shiftAdds).toBeGreaterThan(0.4 * 16 * 72 * 9);
    expect(storedWeights({}, site(large))).toBeUndefined();
  });

  test("refuses what is cut off, too long or no block", () => {
    const form = blockForm(large);
    const { bytes } = project(large, weights(large), { threshold: 0.08, prunedRows: 0 }) ?? {};
    if (form === undefined || bytes === undefined) throw new Error("no projection");
    expect(() => decodeBlocks(form, bytes.slice(0, -1))).toThrow(/too few/);
    expect(() => decodeBlocks(form, Uint8Array.from([...bytes, 0]))).toThrow(/are blocks/);
    const basis = new Float64Array(9);
    const block = { coefficients: Float64Array.of(3, 0, 0), basis, exponent: 0 };
    expect(() => encodeBlocks([block])).toThrow(/3 is no power of two/);
  });
});

describe("in the pipeline", () => {
  test("weights are what their bytes say", async () => {
    const { tensors, sites } = await searchToy(smartExchange, { bits: 8 });
    const decomposed = sites.filter(({ id }) => `${id}:stored` in tensors);
    expect(decomposed.map(({ id }) => id)).toContain("s2.0.b/kernel");
    for (const one of decomposed) {
      const form = blockForm(one);
      const bytes = Uint8Array.from(tensors[`${one.id}:stored`]?.data ?? []);
      if (form === undefined) throw new Error("no form");
      expect(rebuiltKernel(form, decodeBlocks(form, bytes))).toEqual(tensors[one.id]?.data);
    }
  });

  test("retraining that is killed ends with the same bits", async () => {
    const { deaths: none, ...whole } = await searchToy(smartExchangeRetrained, {
      bits: 8,
    });
    const killed = await searchToy(smartExchangeRetrained, { bits: 8, killed: 0.1 });
    expect(none).toBe(0);
    expect(killed.deaths).toBeGreaterThan(0);
    expect(killed).toEqual({ ...whole, deaths: killed.deaths });
  });

  test("P6: training between projections beats one projection", async () => {
    const algorithm = {
      ...smartExchangeRetrained,
      search: {
        ...smartExchangeRetrained.search,
        run: (laboratory: Parameters<typeof retrain>[0]) =>
          retrain(laboratory, { threshold: 0.4, prunedRows: 0.5 }),
      },
    };
    const { search } = await searchToy(algorithm, { bits: 8 });
    const [once, ...trained] = search?.trace ?? [];
    expect(trained.length).toBeGreaterThanOrEqual(4);
    expect(trained.at(-1)?.accuracy).toBeGreaterThan(once?.accuracy ?? NaN);
  });
});
