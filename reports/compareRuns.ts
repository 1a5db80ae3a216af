import { deviceAccuracy } from "../results/device.js";
import type { CellResult, CompletedCell, Environment } from "../results/schema.js";
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
import { configurationDifferences, type ConfigurationDifference } from "./configuration.js";
import { differenceOf, isBeyondNoise } from "./measurements.js";
import { flatten } from "./settings.js";
import { marginOf, type Basis } from "./statistics/difference.js";
import { CONFIDENCE, mean } from "./statistics/moments.js";

/** What a comparison is made of. */
export interface ComparedRun {
  readonly title: string;
  readonly environment: Environment;
  readonly results: readonly CellResult[];
}

/** An algorithm on a backend in both runs. */
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
  /** What the interval takes into account. */
  readonly basis?: Basis;
  readonly verdict: "identical" | "within noise" | "better" | "worse" | "lost" | "gained";
  /** Median latency of the second run over the first. */
  readonly latencyRatio?: number;
}

export interface RunComparison {
  readonly first: string;
  readonly second: string;
  /** What decides numbers and is not the same in cells of both. */
  readonly configuration: readonly ConfigurationDifference[];
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
  const pairs = (): [CellResult, CellResult][] =>
    [...before].flatMap(([question, [old]]) => {
      const [now] = after.get(question) ?? [];
      return old === undefined || now === undefined ? [] : [[old, now]];
    });
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
    configuration: configurationDifferences(pairs()),
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
  const difference = differenceOf(b, a);
  if (difference === undefined) {
    const verdict = a.length > 0 ? "lost" : b.length > 0 ? "gained" : "identical";
    return { ...place, ...texts, verdict };
  }
  const medians = [a, b].map((cells) =>
    mean(cells.map(({ measured }) => measured.latency.quantized.medianMs)),
  );
  const [slow = NaN, fast = NaN] = medians;
  return {
    ...place,
    ...texts,
    difference: points(-difference.mean),
    margin: percent(marginOf(difference, CONFIDENCE)),
    basis: difference.basis,
    latencyRatio: Number((fast / slow).toPrecision(3)),
    verdict: lostSeed(a, now)
      ? "lost"
      : sameWhereBoth(a, b)
        ? "identical"
        : !isBeyondNoise(difference)
          ? "within noise"
          : difference.mean > 0
            ? "better"
            : "worse",
  };
}

const seedOf = ({ config }: CellResult): number => config.seed;

/** A seed that no longer completes is worse, whatever the others say. */
function lostSeed(before: readonly CompletedCell[], now: readonly CellResult[]): boolean {
  const completed = new Set(before.map(seedOf));
  return now.some((cell) => !isCompleted(cell) && completed.has(seedOf(cell)));
}

/** Whether every seed that both have gave the same network and accuracies; there is one. */
function sameWhereBoth(a: readonly CompletedCell[], b: readonly CompletedCell[]): boolean {
  const bySeed = new Map(a.map((cell) => [seedOf(cell), cell]));
  const facts = (cell: CompletedCell) =>
    JSON.stringify([cell.weightHash, cell.accuracy, deviceAccuracy(cell)]);
  const common = b.flatMap((cell) => {
    const old = bySeed.get(seedOf(cell));
    return old === undefined ? [] : [facts(old) === facts(cell)];
  });
  return common.length > 0 && common.every(Boolean);
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
  return percentOverSeeds(completed.map(deviceAccuracy));
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
