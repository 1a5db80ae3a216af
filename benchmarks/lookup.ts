import { closest, distance } from "fastest-levenshtein";

/**
 * Finds a registered entry by name.
 *
 * @param kind what is looked up, for the message: "algorithm", "backend"...
 * @throws Error listing what exists and the nearest match
 */
export function lookup<T extends { readonly name: string }>(
  kind: string,
  name: string,
  entries: readonly T[],
): T {
  const entry = entries.find((candidate) => candidate.name === name);
  if (entry !== undefined) return entry;
  throw new Error(
    unknownName(
      kind,
      name,
      entries.map((candidate) => candidate.name),
    ),
  );
}

/** "Unknown algorithm "lqs". Did you mean "lsq"? Registered: ..." */
export function unknownName(kind: string, name: string, known: readonly string[]): string {
  const nearest = known.length > 0 ? closest(name, [...known]) : "";
  const near = nearest !== "" && distance(name, nearest) <= Math.max(2, name.length / 3);
  const hint = near ? ` Did you mean "${nearest}"?` : "";
  return `Unknown ${kind} "${name}".${hint} Known: ${[...known].sort().join(", ")}.`;
}
