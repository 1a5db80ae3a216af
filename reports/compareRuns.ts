import type { CellResult, Environment } from "../results/schema.js";
import {
  algorithmOf,
  backendOf,
  bitsOf,
  groupBy,
  isCompleted,
  modelOf,
  questionOf,
  stateLabel,
  unique,
} from "./cells.js";
import { percent, percentOverSeeds, points } from "./format.js";
import { differenceOf } from "./noise.js";
import { flatten } from "./settings.js";
import { mean } from "./statistics/moments.js";

/** What a comparison is made of. */
export interface ComparedRun {
  readonly title: string;
  readonly environment: Environment;
  readonly results: readonly CellResult[];
}

/** An algorithm on a backend in both runs, over their common seeds. */
export interface Change {
  readonly model: string;
  readonly algorithm: string;
  readonly backend: string;
  readonly bits: string;
  readonly first: string;
  readonly second: string;
  /** Second minus first, in points, with half of its 95 % interval; absent without two numbers. */
  readonly difference?: string;
  readonly margin?: string;
  readonly verdict: "identical" | "within noise" | "better" | "worse" | "lost" | "gained";
  /** Median latency of the second run over the first. */
  readonly latencyRatio?: number;
}

export interface RunComparison {
  readonly first: string;
  readonly second: string;
  /** Rows of the environments that differ. */
  readonly environment: readonly {
    readonly name: string;
    readonly first: string;
    readonly second: string;
  }[];
  readonly changes: readonly Change[];
  /** Cells of one run that the other does not ask for. */
  readonly appeared: readonly string[];
  readonly vanished: readonly string[];
  /** Whether something got worse: what a gate in CI asks. */
  readonly worse: boolean;
}

/** What moved from one run to another beyond noise, what is new and what is gone. */
export function compareRuns(first: ComparedRun, second: ComparedRun): RunComparison {
  const [before, after] = [groupBy(first.results, questionOf), groupBy(second.results, questionOf)];
  const changes = [...before].flatMap(([question, old]) => {
    const now = after.get(question);
    return now === undefined ? [] : [changeOf(old, now)];
  });
  const onlyIn = (these: typeof before, those: typeof before) =>
    [...these].filter(([question]) => !those.has(question)).map(([, cells]) => describe(cells));
  const vanished = onlyIn(before, after);
  return {
    first: first.title,
    second: second.title,
    environment: environmentChanges(first.environment, second.environment),
    changes,
    appeared: onlyIn(after, before),
    vanished,
    worse:
      vanished.length > 0 ||
      changes.some(({ verdict }) => verdict === "worse" || verdict === "lost"),
  };
}

function changeOf(old: readonly CellResult[], now: readonly CellResult[]): Change {
  const [a, b] = [old.filter(isCompleted), now.filter(isCompleted)];
  const place = placeOf(old[0] ?? now[0]);
  const texts = { first: numberOf(old), second: numberOf(now) };
  const difference = differenceOf(a, b);
  if (difference === undefined) {
    const verdict = a.length > 0 ? "lost" : b.length > 0 ? "gained" : "identical";
    return { ...place, ...texts, verdict };
  }
  const medians = [a, b].map((cells) =>
    mean(cells.map(({ measured }) => measured.latency.quantized.medianMs)),
  );
  const [slow = NaN, fast = NaN] = medians;
  const hashes = (cells: typeof a) =>
    cells.map(({ config, weightHash, accuracy }) =>
      JSON.stringify([config.seed, weightHash, accuracy]),
    );
  const identical = hashes(a).toSorted().join() === hashes(b).toSorted().join();
  return {
    ...place,
    ...texts,
    difference: points(-difference.mean),
    margin: percent(difference.margin),
    latencyRatio: Number((fast / slow).toPrecision(3)),
    verdict: identical
      ? "identical"
      : // A seed that no longer completes is worse, whatever the others say.
        b.length < a.length
        ? "lost"
        : !difference.beyondNoise
          ? "within noise"
          : difference.mean > 0
            ? "better"
            : "worse",
  };
}

function placeOf(cell: CellResult | undefined) {
  if (cell === undefined) throw new Error("a group of cells is empty");
  return {
    model: modelOf(cell),
    algorithm: algorithmOf(cell),
    backend: backendOf(cell),
    bits: bitsOf(cell),
  };
}

function numberOf(cells: readonly CellResult[]): string {
  const completed = cells.filter(isCompleted);
  if (completed.length === 0) return unique(cells.map(({ state }) => stateLabel(state))).join(", ");
  return percentOverSeeds(completed.map(({ accuracy }) => accuracy.deployed));
}

function describe(cells: readonly CellResult[]): string {
  const { model, algorithm, backend, bits } = placeOf(cells[0]);
  return `${algorithm} on ${backend}, ${bits}, ${model}`;
}

function environmentChanges(first: Environment, second: Environment): RunComparison["environment"] {
  const rows = (environment: Environment) =>
    new Map(flatten(environment).map(({ name, value }) => [name, value]));
  const [a, b] = [rows(first), rows(second)];
  return unique([...a.keys(), ...b.keys()])
    .map((name) => ({ name, first: a.get(name) ?? "–", second: b.get(name) ?? "–" }))
    .filter((row) => row.first !== row.second);
}
