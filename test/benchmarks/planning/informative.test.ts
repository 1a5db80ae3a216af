import { expect, test } from "vitest";
import { type Cell, mostInformativeFirst } from "../../../benchmarks/planning/index.js";
import { completedCell } from "../../results/examples.js";

const { config } = completedCell();

/** A cell by "algorithm backend bits seed", with what it costs. */
function cell(what: string, cost: number, unsupported?: string): Cell {
  const [algorithm = "", backend = "", bits = "4", seed = "0"] = what.split(" ");
  return {
    id: what,
    config: {
      ...config,
      algorithm: { name: algorithm, version: 1 },
      backend: { name: backend, version: 1 },
      bits: { weights: Number(bits), activations: Number(bits) },
      seed: Number(seed),
    },
    ...{ cost, trainingCost: 0, pretrainKey: "", trainingKey: what },
    ...(unsupported !== undefined && { unsupported }),
  };
}
const order = (...cells: Cell[]) =>
  mostInformativeFirst(cells.map((c) => ({ ...c, cost: 1e9 * c.cost }))).map(({ id }) => id);

test("what shows something new comes first, seeds come last", () => {
  const cells = ["a x 4 0", "a x 4 1", "a y 4 0", "b x 4 0", "b y 4 0", "b y 4 1"];
  const ordered = order(...cells.map((what) => cell(what, 1)));
  expect(ordered.slice(0, 2).toSorted()).toEqual(["a x 4 0", "b y 4 0"]); // both of both
  expect(ordered.slice(2, 4).toSorted()).toEqual(["a y 4 0", "b x 4 0"]); // the other pairs
  expect(ordered.slice(4).toSorted()).toEqual(["a x 4 1", "b y 4 1"]);
});

test("of cells that show the same, the cheaper; what cannot run hides nothing", () => {
  expect(order(cell("a x", 5), cell("b x", 1))[0]).toBe("b x");
  const ordered = order(cell("a x", 0, "no such bits"), cell("a y", 1), cell("c y", 1.1));
  expect(ordered).toEqual(["a x", "a y", "c y"]);
  expect(order(cell("a x", 1), cell("a x 8", 1), cell("a x 4 1", 1))).toEqual([
    "a x",
    "a x 8",
    "a x 4 1",
  ]);
});

test("twenty thousand cells are ordered before the test's time is over", () => {
  const cells = Array.from({ length: 20_000 }, (_, i) =>
    cell(`a${String(i % 33)} b${String(i % 16)} ${String(2 + (i % 5))} ${String(i)}`, 1 + (i % 7)),
  );
  expect(new Set(mostInformativeFirst(cells)).size).toBe(20_000);
});
