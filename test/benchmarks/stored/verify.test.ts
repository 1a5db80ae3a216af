import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { chosenCells, compare, whyOtherKernels } from "../../../benchmarks/stored/verify.js";
import { RunDirectory } from "../../../results/store.js";
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

test("how many bytes the integer reference is written in may change, but no other file", () => {
  const files = (integers: number, litert: number) => ({
    runtimes: { integers: { modelBytes: integers }, litert: { modelBytes: litert } },
  });
  expect(compare("cell", files(1, 2), files(3, 2))).toEqual([]);
  expect(compare("cell", files(1, 2), files(1, 3)).map(({ field }) => field)).toEqual([
    "runtimes.litert.modelBytes",
  ]);
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

test("cells that kept to measured time are not computed again", async () => {
  const directory = new RunDirectory(await mkdtemp(join(tmpdir(), "quantbench-")));
  await directory.create();
  const budget = { unit: "microseconds" as const, on: "onnxruntime" as const };
  const [timed, other] = [completedCell({ variant: { budget } }), completedCell()];
  for (const cell of [timed, other]) await directory.writeCell(cell);
  const options = { directory: directory.path, cells: 5, ids: [], onStage: () => undefined };
  expect((await chosenCells(options)).map(({ id }) => id)).toEqual([other.id]);
  await expect(chosenCells({ ...options, ids: [timed.id] })).rejects.toThrow(
    /keeps to microseconds that were measured/,
  );
});
