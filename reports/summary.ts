import type { CellResult, CompletedCell } from "../results/schema.js";
import { variantLabel } from "../results/variant.js";
import { mean, percentOverSeeds, points } from "./format.js";

/** One algorithm on one backend, over all seeds. */
export interface Entry {
  readonly algorithm: string;
  readonly backend: string;
  /** "87.64 ± 0.12", or the state when no seed completed. */
  readonly accuracy: string;
  readonly drop: string;
  /** For color: "none", "small", "large", "lost"; absent without a completed seed. */
  readonly severity?: "none" | "small" | "large" | "lost";
  readonly note?: string;
}

/** One table: algorithms x backends for a model and bit width. */
export interface AccuracyTable {
  readonly model: string;
  readonly bits: string;
  readonly floatAccuracy: string;
  readonly backends: readonly string[];
  readonly rows: readonly { readonly algorithm: string; readonly entries: readonly Entry[] }[];
}

export const bitsOf = ({ config: { bits } }: CellResult): string =>
  `W${String(bits.weights)}A${String(bits.activations)}`;

export const modelOf = ({ config: { model } }: CellResult): string =>
  `${model.name}, width ${String(model.width)}`;

/** The algorithm, with what a study varies: a row of tables. */
export function algorithmOf({ config }: CellResult): string {
  const variant = variantLabel(config);
  return variant === "" ? config.algorithm.name : `${config.algorithm.name}, ${variant}`;
}

export const isCompleted = (result: CellResult): result is CompletedCell =>
  result.state === "completed";

/** Accuracy tables, one for each model and bit width, in the order of the results. */
export function accuracyTables(results: readonly CellResult[]): AccuracyTable[] {
  const groups = groupBy(results, (result) => JSON.stringify([modelOf(result), bitsOf(result)]));
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const backends = unique(group.map(({ config }) => config.backend.name));
    const rows = unique(group.map(algorithmOf)).map((algorithm) => ({
      algorithm,
      entries: backends.map((backend) => entry(algorithm, backend, group)),
    }));
    const seeds = new Map(group.filter(isCompleted).map((r) => [r.config.seed, r.accuracy.float]));
    const floatAccuracy = seeds.size > 0 ? percentOverSeeds([...seeds.values()]) : "";
    return [{ model: modelOf(first), bits: bitsOf(first), floatAccuracy, backends, rows }];
  });
}

/** Members by key, in order of first appearance. */
export function groupBy<T>(members: readonly T[], keyOf: (member: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const member of members) {
    const key = keyOf(member);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [member]);
    else group.push(member);
  }
  return groups;
}

const unique = (values: readonly string[]): string[] => [...new Set(values)];

function entry(algorithm: string, backend: string, group: readonly CellResult[]): Entry {
  const seeds = group.filter(
    (result) => algorithmOf(result) === algorithm && result.config.backend.name === backend,
  );
  const completed = seeds.filter(isCompleted);
  const others = seeds.filter((result) => !isCompleted(result));
  const states = unique(others.map(({ state }) => stateLabel(state)));
  if (completed.length === 0) {
    const accuracy = seeds.length === 0 ? "–" : states.join(", ");
    return { algorithm, backend, accuracy, drop: "" };
  }
  const drop = mean(completed.map(({ accuracy }) => accuracy.float - accuracy.deployed));
  return {
    algorithm,
    backend,
    accuracy: percentOverSeeds(completed.map(({ accuracy }) => accuracy.deployed)),
    drop: points(drop),
    severity: drop < 0.01 ? "none" : drop < 0.03 ? "small" : drop < 0.1 ? "large" : "lost",
    // A mean over fewer seeds than were run has to say so.
    ...(others.length > 0 && {
      note: `${String(completed.length)} of ${String(seeds.length)} seeds; else ${states.join(", ")}`,
    }),
  };
}

export function stateLabel(state: CellResult["state"]): string {
  return state === "notConverged" ? "not converged" : state;
}
