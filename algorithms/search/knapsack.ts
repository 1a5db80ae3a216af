/** A width of one layer: what it costs and what it does to the loss. */
export interface Choice {
  readonly bitWidth: number;
  readonly cost: number;
  readonly harm: number;
}

/**
 * One choice of each list with the least total harm whose total cost is within the budget, exactly:
 * dynamic programming over the totals that no other one beats in both.
 *
 * @throws RangeError when even the cheapest choices cost more than the budget
 */
export function cheapestHarm(
  choices: readonly (readonly Choice[])[],
  budget: number,
): readonly Choice[] {
  interface Partial {
    readonly cost: number;
    readonly harm: number;
    readonly chosen: readonly Choice[];
  }
  // What the lists still to come cost at least.
  const leastAfter = choices.map((_, i) =>
    choices
      .slice(i + 1)
      .reduce((sum, options) => sum + Math.min(...options.map(({ cost }) => cost)), 0),
  );
  let states: Partial[] = [{ cost: 0, harm: 0, chosen: [] }];
  choices.forEach((options, i) => {
    const next = states
      .flatMap((state) =>
        options.map((option) => ({
          cost: state.cost + option.cost,
          harm: state.harm + option.harm,
          chosen: [...state.chosen, option],
        })),
      )
      .filter(({ cost }) => cost + (leastAfter[i] ?? 0) <= budget)
      .sort((a, b) => a.cost - b.cost || a.harm - b.harm);
    states = [];
    let least = Infinity;
    for (const state of next) {
      if (state.harm >= least) continue;
      least = state.harm;
      states.push(state);
    }
  });
  const best = states.at(-1);
  if (best === undefined) {
    throw new RangeError(`no choice of bit widths fits the budget of ${String(budget)}`);
  }
  return best.chosen;
}
