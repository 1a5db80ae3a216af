import type { Dataset } from "../../pipelines/train/index.js";
import { pretrainCost } from "./costs.js";
import type { Cell } from "./plan.js";

/** A part of a matrix, from 1. */
export interface Shard {
  readonly index: number;
  readonly of: number;
}

/**
 * The cells of a part, in their order. Parts take about as long as each other; cells that share a quantized
 * training are in the same one, and those that share a float training in as few as that allows.
 * The same cells give the same parts everywhere.
 */
export function cellsOfShard(cells: readonly Cell[], dataset: Dataset, shard: Shard): Cell[] {
  const parts = Array.from({ length: shard.of }, () => ({
    cost: 0,
    pretrained: new Set<string>(),
    trainings: new Set<string>(),
  }));
  const pretraining = memoized((cell: Cell) => pretrainCost(cell.config, dataset));
  for (const group of byCost(cells)) {
    const costIn = (part: (typeof parts)[number]) =>
      part.cost +
      group.cost +
      (part.pretrained.has(group.pretrainKey) ? 0 : pretraining(group.first));
    let [best] = parts;
    for (const part of parts) if (best === undefined || costIn(part) < costIn(best)) best = part;
    if (best === undefined) break;
    best.cost = costIn(best);
    best.pretrained.add(group.pretrainKey);
    best.trainings.add(group.trainingKey);
  }
  const chosen = parts[shard.index - 1];
  return cells.filter(({ trainingKey }) => chosen?.trainings.has(trainingKey));
}

interface Group {
  readonly trainingKey: string;
  readonly pretrainKey: string;
  readonly first: Cell;
  cost: number;
}

/** Cells that share a quantized training, the most expensive first. */
function byCost(cells: readonly Cell[]): Group[] {
  const groups = new Map<string, Group>();
  for (const cell of cells) {
    const { trainingKey, pretrainKey } = cell;
    const group = groups.get(trainingKey);
    if (group === undefined)
      groups.set(trainingKey, { trainingKey, pretrainKey, first: cell, cost: cell.cost });
    else group.cost += cell.cost - cell.trainingCost;
  }
  return [...groups.values()].toSorted(
    (a, b) => b.cost - a.cost || (a.trainingKey < b.trainingKey ? -1 : 1),
  );
}

/** Cells of one float training share what it costs. */
function memoized(compute: (cell: Cell) => number): (cell: Cell) => number {
  const known = new Map<string, number>();
  return (cell) => {
    const cost = known.get(cell.pretrainKey) ?? compute(cell);
    known.set(cell.pretrainKey, cost);
    return cost;
  };
}
