import type { Laboratory, RandomNumbers, Score } from "../laboratory.js";
import { drawAccepted, drawPath, type Gene, type Path } from "./genes.js";

/** A path that was tried. */
export interface Trial extends Score {
  readonly path: Path;
}

/** What evolution goes on among. */
export interface Space {
  readonly genes: readonly Gene[];
  readonly cost: (path: Path) => number;
  readonly budget: number;
}

/** Paths of a generation at most; fewer where that leaves too few generations. */
const POPULATION = 16;
const LEAST_GENERATIONS = 6;
/** Part of a generation's size that may be parents, the best of all so far. */
const PARENTS = 0.3;
/** Chance of each choice to be drawn anew; at least one of all on average. */
const MUTATION = 0.1;
/** A generation's mutants, or crossings, are given up after so many attempts each. */
const ATTEMPTS = 10;

/**
 * Generations of paths within the budget, none tried twice: the first at random, later ones half mutants
 * of the best and half their crossings, filled up at random (SPOS, section 3.4 and its code).
 *
 * @param evaluations paths that may be tried
 * @param judge tries one
 * @returns all that were tried, in order
 */
export async function evolve(
  { random, rounds }: Pick<Laboratory, "random" | "rounds">,
  space: Space,
  { evaluations, judge }: { evaluations: number; judge: (path: Path) => Promise<Score> },
): Promise<readonly Trial[]> {
  const population = populationFor(evaluations);
  return rounds<readonly Trial[]>("generations", () => [], {
    most: Math.ceil(evaluations / population),
    async round(tried, index) {
      const numbers = random(`generation ${String(index)}`);
      const size = Math.min(population, evaluations - index * population);
      const generation: Trial[] = [];
      for (const path of propose(space, tried, { size, random: numbers }))
        generation.push({ path, ...(await judge(path)) });
      return [...tried, ...generation];
    },
  });
}

export const populationFor = (evaluations: number): number =>
  Math.min(POPULATION, Math.max(2, Math.floor(evaluations / LEAST_GENERATIONS)));

/** The best first; of equals the one with the lower loss, then the earlier. */
export const ranked = (trials: readonly Trial[]): readonly Trial[] =>
  trials.toSorted((a, b) => b.accuracy - a.accuracy || a.loss - b.loss);

/** The next generation: paths within the budget that are new. */
export function propose(
  { genes, cost, budget }: Space,
  tried: readonly Trial[],
  { size, random }: { readonly size: number; readonly random: RandomNumbers },
): readonly Path[] {
  const known = new Set(tried.map(({ path }) => path.join()));
  const proposed: Path[] = [];
  const isLegal = (path: Path) => cost(path) <= budget;
  const collect = (until: number, make: () => Path | undefined) => {
    for (let i = 0; i < ATTEMPTS * size && proposed.length < until; i++) {
      const path = make();
      if (path === undefined || known.has(path.join()) || !isLegal(path)) continue;
      known.add(path.join());
      proposed.push(path);
    }
  };
  const parents = ranked(tried).slice(0, Math.max(2, Math.round(PARENTS * size)));
  if (parents.length > 0) {
    const half = Math.floor(size / 2);
    const parent = () => parents[random.integer(parents.length)]?.path ?? [];
    const chance = Math.max(MUTATION, 1 / genes.length);
    collect(half, () => mutated(genes, parent(), { chance, random }));
    collect(2 * half, () => crossed(parent(), parent(), random));
  }
  collect(size, () => drawLegal({ genes, cost, budget }, random));
  return proposed;
}

/** Each choice is drawn anew with a chance. */
export const mutated = (
  genes: readonly Gene[],
  parent: Path,
  { chance, random }: { readonly chance: number; readonly random: RandomNumbers },
): Path =>
  genes.map(({ length }, i) =>
    random.uniform() < chance ? random.integer(length) : (parent[i] ?? 0),
  );

/** Each choice comes from one parent or the other. */
export const crossed = (one: Path, other: Path, random: RandomNumbers): Path =>
  one.map((choice, i) => (random.integer(2) === 0 ? choice : (other[i] ?? choice)));

/** A path within the budget: drawn until one is, or where those are too rare, one that is made cheaper. */
export function drawLegal({ genes, cost, budget }: Space, random: RandomNumbers): Path {
  const drawn = drawAccepted(genes, random, (path) => cost(path) <= budget);
  if (drawn !== undefined) return drawn;
  let path = drawPath(genes, random);
  while (cost(path) > budget) {
    const cheaper = genes.flatMap(({ length }, i) =>
      Array.from({ length }, (_, choice) => path.with(i, choice)).filter(
        (other) => cost(other) < cost(path),
      ),
    );
    const next = cheaper[random.integer(Math.max(1, cheaper.length))];
    if (next === undefined)
      throw new RangeError(
        `no path costs less than ${String(cost(path))}, and ${String(budget)} are allowed`,
      );
    path = next;
  }
  return path;
}
