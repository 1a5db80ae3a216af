import type { Cell } from "./plan.js";

/** What each setting that no chosen cell has is worth, and each pair of two. */
const SETTING = 4;
const PAIR = 1;
/** What a cell is worth that has nothing new: it still narrows an interval. */
const REPETITION = 0.1;

/**
 * Cells in the order in which a run that may not finish tells most: each next one has the most new
 * settings and pairs of settings for its cost (the greedy cover of pairs that tests of configurations
 * use). Seeds are no setting: they come when everything has been seen once.
 */
export function mostInformativeFirst(cells: readonly Cell[]): Cell[] {
  const seen = new Set<string>();
  const waiting = cells
    .map((cell, place): Waiting => {
      const shown = shownBy(cell);
      return { cell, place, shown, worth: worthOf(cell, shown, seen) };
    })
    .sort(fromWorst);
  const ordered: Cell[] = [];
  for (let best = waiting.pop(); best !== undefined; best = waiting.pop()) {
    const now = { ...best, worth: worthOf(best.cell, best.shown, seen) };
    const next = waiting.at(-1);
    // Worth only falls: what is still ahead of all others' old worth is the best.
    if (next !== undefined && fromWorst(now, next) < 0) {
      waiting.splice(placeIn(waiting, now), 0, now);
      continue;
    }
    ordered.push(best.cell);
    for (const { name } of best.shown) seen.add(name);
  }
  return ordered;
}

interface Waiting {
  readonly cell: Cell;
  /** In the order of the matrix. */
  readonly place: number;
  readonly shown: readonly Shown[];
  readonly worth: number;
}

/** Of equals the lower seed is the better, then what the matrix names first. */
const fromWorst = (a: Waiting, b: Waiting): number =>
  a.worth - b.worth || b.cell.config.seed - a.cell.config.seed || b.place - a.place;

interface Shown {
  readonly name: string;
  readonly worth: number;
}

/** A cell's settings, and the pairs of them; none where there will be no number. */
function shownBy({ config, unsupported }: Cell): Shown[] {
  if (unsupported !== undefined) return [];
  const { model, algorithm, backend, bits, variant = {} } = config;
  const { quantizerWeightDecay, distillation } = config.hyperparameters;
  const settings = [
    `model ${model.name} ${String(model.width)}`,
    `algorithm ${algorithm.name}`,
    `backend ${backend.name}`,
    `bits ${String(bits.weights)} ${String(bits.activations)}`,
    `variant ${JSON.stringify([variant, quantizerWeightDecay, distillation])}`,
  ];
  return settings.flatMap((name, i) => [
    { name, worth: SETTING },
    ...settings.slice(i + 1).map((other) => ({ name: `${name}, ${other}`, worth: PAIR })),
  ]);
}

/** For each unit of cost. What needs no computing comes first: costs are in the billions. */
function worthOf({ cost }: Cell, shown: readonly Shown[], seen: ReadonlySet<string>): number {
  const fresh = shown.reduce((sum, { name, worth }) => sum + (seen.has(name) ? 0 : worth), 0);
  return (fresh + REPETITION) / Math.max(1, cost);
}

/** Where an entry belongs in a list from worst to best. */
function placeIn(list: readonly Waiting[], entry: Waiting): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const there = list[middle];
    if (there !== undefined && fromWorst(there, entry) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
