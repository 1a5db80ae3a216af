import type { Laboratory, Policy, RandomNumbers } from "../laboratory.js";

/** What is decided at once: the bits of a few sites, as one of several parts of a policy. */
export type Gene = readonly Policy[];
/** A choice for each gene, by its place. */
export type Path = readonly number[];

export interface BitPair {
  readonly weights: number;
  readonly activations: number;
}

/**
 * A gene for each layer, with its weights' and its input's bits: the matrix's own pair first, then those
 * that the backend has. Layers that read the same input are one gene; pairs that say the same are one choice.
 */
export function genesOf(
  { layers, free, widths }: Pick<Laboratory, "layers" | "free" | "widths">,
  pairs: readonly BitPair[],
): readonly Gene[] {
  const sites = new Map(free.map((site) => [site.id, site]));
  const groups = new Map<string, string[]>();
  for (const { weights, input } of layers) {
    const key = input ?? weights;
    const ids = groups.get(key) ?? (input === undefined ? [] : [input]);
    groups.set(key, [...ids, weights]);
  }
  return [...groups.values()].flatMap((ids) => {
    const searched = ids.flatMap((id) => sites.get(id) ?? []);
    if (searched.length === 0) return [];
    const own = Object.fromEntries(searched.map(({ id, scheme }) => [id, scheme.bitWidth]));
    const others = pairs.flatMap((pair) => {
      const bits = searched.map(({ id, role }) => {
        const width = role === "weight" ? pair.weights : pair.activations;
        return { id, width, isThere: widths[role].includes(width) };
      });
      if (!bits.every(({ isThere }) => isThere)) return [];
      return [Object.fromEntries(bits.map(({ id, width }) => [id, width]))];
    });
    return [[...new Map([own, ...others].map((part) => [JSON.stringify(part), part])).values()]];
  });
}

export const policyOf = (genes: readonly Gene[], path: Path): Policy =>
  Object.assign({}, ...genes.map((gene, i) => gene[path[i] ?? NaN])) as Policy;

/** What a path costs. Each gene has its part in it, since a layer's cost depends on its own bits alone. */
export function costOfPath(
  genes: readonly Gene[],
  cost: Laboratory["cost"],
): (path: Path) => number {
  const rest = cost({});
  const parts = genes.map((gene) => gene.map((part) => cost(part) - rest));
  return (path) => path.reduce((sum, choice, i) => sum + (parts[i]?.[choice] ?? NaN), rest);
}

/** Every choice of every gene equally likely. */
export const drawPath = (genes: readonly Gene[], random: RandomNumbers): Path =>
  genes.map(({ length }) => random.integer(length));

/** Draws until a path is accepted, but not for ever. */
export function drawAccepted(
  genes: readonly Gene[],
  random: RandomNumbers,
  accepts: (path: Path) => boolean,
): Path | undefined {
  for (let i = 0; i < MOST_TRIES; i++) {
    const path = drawPath(genes, random);
    if (accepts(path)) return path;
  }
  return undefined;
}
/** As in the published code of SPOS. */
const MOST_TRIES = 500;
