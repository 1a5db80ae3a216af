import { describe, expect, test } from "vitest";
import { Forecast } from "../../../benchmarks/running/forecast.js";
import { shareDone } from "../../../benchmarks/running/jobProgress.js";
import type { Cell } from "../../../benchmarks/planning/index.js";

/** A forecast with a clock that the test sets. */
function forecast(jobs: ConstructorParameters<typeof Forecast>[0], parallel: number) {
  let time = 0;
  const made = new Forecast(jobs, parallel, () => time);
  return { made, at: (seconds: number) => (time = seconds) };
}
const job = (id: string, cost: number, after?: string) => ({
  ...{ id, kind: after === undefined ? "pretrain" : "cells", cost },
  ...(after !== undefined && { after }),
});

describe("the time that is left", () => {
  test("follows a job that runs, long before it ends", () => {
    const { made, at } = forecast([job("a", 100)], 1);
    made.start("a");
    at(10);
    made.progress("a", 0.1); // 10 s for a tenth
    expect(made.secondsLeft()).toBeCloseTo(90);
    at(40);
    made.progress("a", 0.5);
    expect(made.secondsLeft()).toBeCloseTo(40);
    at(41);
    made.progress("a", 1); // its last cell is written, the process still ends
    expect(made.secondsLeft()).toBe(0);
  });

  test("is scaled to waiting jobs by what was measured, and waits for predecessors", () => {
    const jobs = [job("float", 10), job("long", 40, "float"), job("short", 20, "float")];
    const { made, at } = forecast(jobs, 2);
    made.start("float");
    at(20);
    made.progress("float", 0.5); // 4 s a unit of cost
    // 20 s of the float training, then 160 and 80 s side by side.
    expect(made.secondsLeft()).toBeCloseTo(180);
    at(30);
    made.end("float", true); // 3 s a unit
    expect(made.secondsLeft()).toBeCloseTo(120);
    made.start("long");
    made.start("short");
    at(40);
    made.progress("short", 1);
    made.end("short", true); // 10 s for 20 units of such jobs: half a second a unit
    expect(made.secondsLeft()).toBeCloseTo(10);
  });

  test("packs jobs on processes in their order", () => {
    const { made, at } = forecast([job("a", 3), job("b", 1), job("c", 1), job("d", 4)], 2);
    made.start("a");
    at(3);
    made.end("a", true); // one second a unit
    expect(made.secondsLeft()).toBeCloseTo(5); // b and d on one process, c on the other
  });
});

test("how far a job is counts its training once, and cells behind it", () => {
  const cell = { cost: 10, trainingCost: 6 } as Cell;
  const cells = { kind: "cells", cells: [cell, { ...cell }] } as const;
  // 10 for the first, 4 for the second.
  const share = (
    ...[finished, at]: Parameters<typeof shareDone> extends [unknown, ...infer R] ? R : never
  ) => shareDone(cells, finished, at);
  expect(share(0, { stage: "quantized training", training: 0.5 })).toBeCloseTo(3 / 14);
  expect(share(0, { stage: "evaluation" })).toBeCloseTo(6 / 14);
  expect(share(0, { stage: "deployment on onnxruntime" })).toBeGreaterThan(6 / 14);
  expect(share(1, { stage: "quantized training" })).toBeCloseTo(10 / 14);
  expect(share(2, { stage: "starting" })).toBe(1);
  expect(
    shareDone({ ...cells, kind: "pretrain" }, 0, { stage: "float training", training: 0.25 }),
  ).toBe(0.25);
});
