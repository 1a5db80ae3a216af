import { expect, test } from "vitest";
import { integersPay } from "../../reports/integersPay.js";
import { completedCell } from "../results/examples.js";

const timed = (times: Readonly<Record<string, readonly [count: number, microseconds: number]>>) =>
  Object.fromEntries(
    Object.entries(times).map(([name, [count, microseconds]]) => [name, { count, microseconds }]),
  );
const cell = (instructionSet: string, quantized: ReturnType<typeof timed>) => {
  const example = completedCell();
  return {
    ...example,
    deployment: {
      ...{ runtime: "onnxruntime", instructionSet, kernels: "shipped" as const, saturates: false },
    },
    measured: {
      ...example.measured,
      operators: {
        float: timed({
          "Conv 1x1": [4, 400],
          "FusedConv 1x1": [4, 400],
          "Conv 3x3 in groups": [2, 50],
          Gemm: [1, 10],
        }),
        quantized,
      },
    },
  };
};

test("a page says which kinds of layers integers pay for, one operator against one, and what decides it", () => {
  const quantized = timed({
    "QLinearConv 1x1": [6, 300], // 50 each, 100 in float
    "Conv 1x1": [2, 200],
    "QLinearConv 3x3 in groups": [2, 75], // 37.5 each, 25 in float
    QGemm: [1, 9.9],
    QLinearAdd: [3, 10],
  });
  expect(integersPay(cell("x64 avx2 avx512_vnni", quantized))).toBe(
    "This processor (x64 avx2 avx512_vnni) adds products of bytes in one instruction. Integers pay here for Conv 1x1 (0.50 of float's time). They do not for Gemm (0.99 of float's time), Conv 3x3 in groups (1.50 of float's time). With VNNI, convolutions with fewer than 16 output channels, or with no multiple of 4, take up to twice as long in integers as with 16: export --tune latency tries more channels, of zeros.",
  );
  expect(integersPay(cell("x64 avx2", quantized))).toMatch(/^This processor \(x64 avx2\) has no/);
  for (const other of ["x64 avx2", "arm64 asimddp"])
    expect(integersPay(cell(other, quantized))).not.toContain("of zeros");
});

test("nothing is said where no layer became integers, and that none pays where none does", () => {
  expect(integersPay(cell("x64", timed({ "Conv 1x1": [8, 900] })))).toBeUndefined();
  expect(integersPay(cell("x64", timed({ QGemm: [1, 20] })))).toMatch(
    /Integers pay for no kind of layer here\.$/,
  );
});
