import { describe, expect, test } from "vitest";
import { renderComparison } from "../../reports/comparePage.js";
import { compareRuns, type ComparedRun } from "../../reports/compareRuns.js";
import type { CellResult, Environment } from "../../results/schema.js";
import { cellConfig, completedCell, exampleEnvironment, failedCell } from "../results/examples.js";

const run = (results: readonly CellResult[], changes: Partial<Environment> = {}): ComparedRun => ({
  title: "a run",
  environment: { ...exampleEnvironment, ...changes },
  results,
});
const seeds = (...deployed: number[]) =>
  deployed.map((accuracy, seed) => completedCell({ seed }, accuracy));
const verdicts = (first: readonly CellResult[], second: readonly CellResult[]) =>
  compareRuns(run(first), run(second)).changes.map(({ verdict }) => verdict);

describe("comparing runs", () => {
  test("the same results are identical, and nothing got worse", () => {
    const comparison = compareRuns(run(seeds(0.8, 0.81)), run(seeds(0.8, 0.81)));
    expect(comparison.changes.map(({ verdict }) => verdict)).toEqual(["identical"]);
    expect(comparison.worse).toBe(false);
    expect(comparison.environment).toEqual([]);
  });

  // Differences of -1.0, -1.1 and -0.9 points: mean -1, t interval 4.303 x 0.1 / 1.732 = 0.25.
  test("a paired loss outside its t interval is worse, with its size", () => {
    const [change] = compareRuns(
      run(seeds(0.8, 0.82, 0.84)),
      run(seeds(0.79, 0.809, 0.831)),
    ).changes;
    expect(change).toMatchObject({ verdict: "worse", difference: "−1.00", margin: "0.25" });
  });

  test("seeds that move both ways are noise, however far", () => {
    expect(verdicts(seeds(0.8, 0.8, 0.8), seeds(0.7, 0.9, 0.75))).toEqual(["within noise"]);
  });

  // 0.87 on 10,000 images: 1.96 x sqrt(2 x 0.87 x 0.13 / 10000) = 0.93 points.
  test("one seed is judged by the noise of its test images", () => {
    expect(verdicts(seeds(0.87), seeds(0.862))).toEqual(["within noise"]);
    expect(verdicts(seeds(0.87), seeds(0.859))).toEqual(["worse"]);
    expect(verdicts(seeds(0.87), seeds(0.882))).toEqual(["better"]);
  });

  test("a seed that no longer completes is lost, whatever the others say", () => {
    const failed = failedCell("crash", { algorithm: { name: "lsq", version: 1 }, seed: 1 });
    const [first] = seeds(0.9);
    expect(first).toBeDefined();
    expect(verdicts(seeds(0.8, 0.8), [...seeds(0.9), failed])).toEqual(["lost"]);
    expect(verdicts([failed], [failed])).toEqual(["identical"]);
    expect(verdicts([failed], seeds(0.8, 0.8).slice(1))).toEqual(["gained"]);
  });

  test("cells that appear and vanish are named, and a vanished one is a loss", () => {
    const pact = completedCell({ algorithm: { name: "pact", version: 1 } });
    const forth = compareRuns(run(seeds(0.8)), run([...seeds(0.8), pact]));
    expect(forth).toMatchObject({ appeared: ["pact on onnxruntime, W4A4, resnet8, width 8"] });
    expect(forth.worse).toBe(false);
    expect(compareRuns(run([...seeds(0.8), pact]), run(seeds(0.8))).worse).toBe(true);
  });

  // The reference's seeds deviate by 26 points: against one seed the interval is
  // 4.303 x 26.06 x sqrt(1/3 + 1) = 129 points, and its 16 points less are no news.
  test("one seed is judged by the spread of the seeds that the other run has", () => {
    const [change] = compareRuns(run(seeds(0.88, 0.39, 0.86)), run(seeds(0.7163))).changes;
    expect(change).toMatchObject({ verdict: "within noise", basis: "seeds" });
  });

  test("seeds that only one run was asked for do not hide that the others are the same", () => {
    expect(verdicts(seeds(0.8, 0.9, 0.7), seeds(0.8))).toEqual(["identical"]);
  });

  test("a recipe that differs is named with the cells that it is of, and so is a version", () => {
    const hyperparameters = { ...cellConfig().hyperparameters, trainImages: 3200 };
    const { configuration } = compareRuns(
      run([completedCell(), completedCell({ seed: 1 })]),
      run([completedCell({ hyperparameters, algorithm: { name: "lsq", version: 2 } })]),
    );
    expect(configuration).toEqual([
      { name: "algorithm: version", first: "1", second: "2", cells: 1, recipe: false },
      {
        ...{ name: "hyperparameters: train images", first: "–", second: "3200" },
        ...{ cells: 1, recipe: true },
      },
    ]);
  });

  test("environments that differ are told apart field by field", () => {
    const { environment: rows } = compareRuns(run([]), run([], { cpu: "another", cores: 4 }));
    expect(rows).toEqual([
      { name: "cpu", first: "a CPU", second: "another" },
      { name: "cores", first: "2", second: "4" },
    ]);
  });
});

test("the page of a comparison is inert and complete", async () => {
  const attack = `<img src=x onerror=alert(1)>`;
  const html = await renderComparison(
    compareRuns(
      run([completedCell({ algorithm: { name: attack, version: 1 } }, 0.9)]),
      run([completedCell({ algorithm: { name: attack, version: 1 } }, 0.5)]),
    ),
  );
  expect(html).not.toContain("<img");
  expect(html).toContain("−40.00");
  expect(html).toContain("worse");
});
