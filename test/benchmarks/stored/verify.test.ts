import { expect, test } from "vitest";
import { compare, whyOtherKernels } from "../../../benchmarks/stored/verify.js";
import { completedCell } from "../../results/examples.js";

test("what results of an earlier version lack is not a difference; all else is", () => {
  const stored = { weightHash: "a", inspection: { sites: [{ id: "stem" }] } };
  const repeated = {
    weightHash: "a",
    correctImages: { device: "AA==" },
    inspection: { sites: [{ id: "stem", histogram: { counts: "AA==" } }] },
  };
  expect(compare("cell", stored, repeated)).toEqual([]);
  expect(compare("cell", repeated, stored).map(({ field }) => field)).toEqual([
    "correctImages",
    "inspection.sites.0.histogram",
  ]);
  expect(compare("cell", stored, { ...stored, weightHash: "b" })).toHaveLength(1);
  expect(compare("cell", stored, { ...stored, another: 1 })).toHaveLength(1);
});

test("native kernels may differ where the processor's instructions do, and only there", () => {
  const onProcessor = (instructionSet: string, saturates: boolean) => ({
    ...completedCell(),
    deployment: {
      ...{ runtime: "onnxruntime 1", instructionSet, saturates },
      kernels: "shipped" as const,
    },
  });
  const here = onProcessor("x64 avx2 fma", false);
  expect(whyOtherKernels(here, onProcessor("x64 avx2 fma", false))).toBeUndefined();
  expect(whyOtherKernels(here, onProcessor("x64 avx2 fma", true))).toMatch(/saturate/);
  expect(whyOtherKernels(onProcessor("arm64 asimd", false), here)).toBe(
    "they ran on arm64 asimd, here on x64 avx2 fma",
  );
});
