import { deviceAccuracy } from "../results/device.js";
import type { CellResult, CompletedCell } from "../results/schema.js";
import { algorithmOf, backendOf, bitsOf, groupBy, isCompleted, modelOf, unique } from "./cells.js";
import { mean } from "./statistics/moments.js";

/** What an algorithm loses against float, over backends and seeds. */
export interface Robustness {
  readonly algorithm: string;
  /** As shares of images. */
  readonly meanLoss: number;
  readonly worstLoss: number;
  /** The cell that lost most. */
  readonly worst: CompletedCell;
  /** Largest distance between two seeds on one backend; absent with one seed. */
  readonly seedRange?: number;
  readonly cells: number;
}

/** Algorithms that ran on the same backends, at the same widths of one network. */
export interface RobustnessTable {
  readonly model: string;
  readonly bits: string;
  readonly backends: readonly string[];
  /** The most robust first: the one whose worst case loses least. */
  readonly rows: readonly Robustness[];
}

/** For each network and width, the largest part of the results in which every algorithm has every backend. */
export function robustnessTables(results: readonly CellResult[]): RobustnessTable[] {
  const groups = groupBy(results.filter(isCompleted), (cell) =>
    JSON.stringify([modelOf(cell), bitsOf(cell)]),
  );
  return [...groups.values()].flatMap((group): RobustnessTable[] => {
    const [first] = group;
    const part = commonPart(group);
    if (first === undefined || part === undefined) return [];
    const cells = group.filter((cell) => part.backends.has(backendOf(cell)));
    const rows = [...groupBy(cells, algorithmOf)]
      .filter(([name]) => part.algorithms.has(name))
      .flatMap(([algorithm, own]) => robustnessOf(algorithm, own));
    return [
      {
        ...{ model: modelOf(first), bits: bitsOf(first) },
        backends: [...part.backends],
        rows: rows.sort((a, b) => a.worstLoss - b.worstLoss || a.meanLoss - b.meanLoss),
      },
    ];
  });
}

const lossOf = (cell: CompletedCell): number => cell.accuracy.float - deviceAccuracy(cell);

function robustnessOf(algorithm: string, cells: readonly CompletedCell[]): Robustness[] {
  const [worst] = cells.toSorted((a, b) => lossOf(b) - lossOf(a));
  if (worst === undefined) return [];
  const ranges = [...groupBy(cells, backendOf).values()]
    .filter(({ length }) => length > 1)
    .map((seeds) => {
      const accuracies = seeds.map(deviceAccuracy);
      return Math.max(...accuracies) - Math.min(...accuracies);
    });
  return [
    {
      ...{ algorithm, worst, cells: cells.length },
      meanLoss: mean(cells.map(lossOf)),
      worstLoss: lossOf(worst),
      ...(ranges.length > 0 && { seedRange: Math.max(...ranges) }),
    },
  ];
}

/** Two or more algorithms on two or more backends, as many cells of such a table as there are. */
function commonPart(cells: readonly CompletedCell[]) {
  const backendsBy = new Map(
    [...groupBy(cells, algorithmOf)].map(([name, own]) => [name, new Set(own.map(backendOf))]),
  );
  const names = [...backendsBy].sort(([, a], [, b]) => b.size - a.size).map(([name]) => name);
  let best: { algorithms: Set<string>; backends: Set<string>; size: number } | undefined;
  for (let count = 2; count <= names.length; count++) {
    const algorithms = names.slice(0, count);
    const backends = unique(cells.map(backendOf)).filter((backend) =>
      algorithms.every((name) => backendsBy.get(name)?.has(backend)),
    );
    const size = count * backends.length;
    if (backends.length >= 2 && size > (best?.size ?? 0))
      best = { algorithms: new Set(algorithms), backends: new Set(backends), size };
  }
  return best;
}
