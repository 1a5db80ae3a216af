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
    .map((cell) => {
      const shown = shownBy(cell);
      return { cell, shown, worth: worthOf(cell, shown, seen) };
    })
    .sort((a, b) => a.worth - b.worth || b.cell.config.seed - a.cell.config.seed);
  const ordered: Cell[] = [];
  for (let best = waiting.pop(); best !== undefined; best = waiting.pop()) {
    const worth = worthOf(best.cell, best.shown, seen);
    // Worth only falls: what is still ahead of all others' old worth is the best.
    if (worth < (waiting.at(-1)?.worth ?? 0)) {
      const again = { ...best, worth };
      waiting.splice(placeOf(waiting, worth), 0, again);
      continue;
    }
    ordered.push(best.cell);
    for (const { name } of best.shown) seen.add(name);
  }
  return ordered;
}

interface Shown {
  readonly name: string;
  readonly worth: number;
}

/** A cell's settings, and the pairs of them; none where there will be no number. */
function shownBy({ config, unsupported }: Cell): Shown[] {
  if (unsupported !== undefined) return [];
  const { model, algorithm, backend, bits, variant = {} } = config;
  const settings = [
    `model ${model.name} ${String(model.width)}`,
    `algorithm ${algorithm.name}`,
    `backend ${backend.name}`,
    `bits ${String(bits.weights)} ${String(bits.activations)}`,
    `variant ${JSON.stringify([variant, config.hyperparameters.quantizerWeightDecay])}`,
  ];
  return settings.flatMap((name, i) => [
    { name, worth: SETTING },
    ...settings.slice(i + 1).map((other) => ({ name: `${name}, ${other}`, worth: PAIR })),
  ]);
}

/** For each unit of cost. What needs no computing comes first. */
function worthOf({ cost }: Cell, shown: readonly Shown[], seen: ReadonlySet<string>): number {
  const fresh = shown.reduce((sum, { name, worth }) => sum + (seen.has(name) ? 0 : worth), 0);
  return (fresh + REPETITION) / cost;
}

/** Where a value belongs in a list that rises. */
function placeOf(rising: readonly { readonly worth: number }[], worth: number): number {
  let [low, high] = [0, rising.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((rising[middle]?.worth ?? Infinity) < worth) low = middle + 1;
    else high = middle;
  }
  return low;
}
