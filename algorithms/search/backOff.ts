import type { QuantizerSite } from "../algorithm.js";
import type { Laboratory, Policy } from "../laboratory.js";

type Asked = Pick<Laboratory, "budget" | "cost" | "free" | "layers" | "widths">;

/**
 * Lowers bits until a policy is within the budget: again and again from the last layer to the first,
 * activations before weights, by one width each (as in HAQ's code).
 *
 * @throws RangeError when the narrowest widths cost too much
 */
export function backOff(policy: Policy, laboratory: Asked): Policy {
  const { budget, cost, free, widths } = laboratory;
  const order = fromLastToFirst(laboratory);
  let current: Policy = policy;
  for (;;) {
    let hasChanged = false;
    for (const site of order) {
      if (cost(current) <= budget) return current;
      const bits = current[site.id] ?? site.scheme.bitWidth;
      const lower = widths[site.role].findLast((width) => width < bits);
      if (lower === undefined) continue;
      current = { ...current, [site.id]: lower };
      hasChanged = true;
    }
    if (cost(current) <= budget) return current;
    if (!hasChanged)
      throw new RangeError(
        `the budget of ${String(budget)} is below ${String(cost(current))}, what the narrowest of the ${String(free.length)} sites cost`,
      );
  }
}

/** Each layer's input and then its weights, the last layer first; what layers share where it comes last. */
function fromLastToFirst({ layers, free }: Asked): readonly QuantizerSite[] {
  const byId = new Map(free.map((site) => [site.id, site]));
  const ids = layers
    .toReversed()
    .flatMap(({ weights, input }) => (input === undefined ? [weights] : [input, weights]));
  return [...new Set(ids)].flatMap((id) => byId.get(id) ?? []);
}
