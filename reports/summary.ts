import { deviceAccuracy } from "../results/device.js";
import type { CellResult, CompletedCell } from "../results/schema.js";
import { cellName } from "../results/store.js";
import {
  algorithmOf,
  backendOf,
  bitsOf,
  groupBy,
  isAtChance,
  isCompleted,
  missesGate,
  modelOf,
  stateLabel,
  unique,
} from "./cells.js";
import { percentOverSeeds, points } from "./format.js";
import { kernelNote } from "./kernels.js";
import { MARGINS, standingOf, type Margins, type Standing } from "./decision/standing.js";
import { differenceOf } from "./measurements.js";
import { mean } from "./statistics/moments.js";

/** One algorithm on one backend, over all seeds. */
export interface Entry {
  readonly algorithm: string;
  readonly backend: string;
  /** "87.64 ± 0.12", or the state when no seed completed. */
  readonly accuracy: string;
  /** Points against float; empty where no seed completed. */
  readonly drop: string;
  /** Whether the matrix has it. */
  readonly asked: boolean;
  /** The completed cells behind the number. */
  readonly cells: readonly CompletedCell[];
  /** Highest mean of a column that has several. */
  readonly best: boolean;
  /** How it stands to the best of its column; absent for the best, and where there is none. */
  readonly standing?: Standing | undefined;
  /** Mean share of images lost against float. */
  readonly loss?: number;
  /** What the number does not say. */
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

/** Accuracy tables, one for each model and bit width, in the order of the results. */
export function accuracyTables(results: readonly CellResult[], margins = MARGINS): AccuracyTable[] {
  const groups = groupBy(results, (result) => JSON.stringify([modelOf(result), bitsOf(result)]));
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const backends = unique(group.map(backendOf));
    const byPlace = groupBy(group, (result) => placeKey(algorithmOf(result), backendOf(result)));
    const best = new Map(backends.map((backend) => [backend, bestOf(group, backend)]));
    const rows = unique(group.map(algorithmOf)).map((algorithm) => ({
      algorithm,
      entries: backends.map((backend) =>
        entry({ algorithm, backend }, byPlace.get(placeKey(algorithm, backend)) ?? [], {
          best: best.get(backend) ?? [],
          margins,
        }),
      ),
    }));
    const seeds = new Map(group.filter(isCompleted).map((r) => [r.config.seed, r.accuracy.float]));
    const floatAccuracy = seeds.size > 0 ? percentOverSeeds([...seeds.values()]) : "";
    return [{ model: modelOf(first), bits: bitsOf(first), floatAccuracy, backends, rows }];
  });
}

const placeKey = (algorithm: string, backend: string): string =>
  JSON.stringify([algorithm, backend]);

const meanAccuracy = (cells: readonly CompletedCell[]): number => mean(cells.map(deviceAccuracy));

/** The cells of the algorithm with the highest mean on a backend; none where it is the only one. */
function bestOf(group: readonly CellResult[], backend: string): readonly CompletedCell[] {
  const here = group.filter(isCompleted).filter((cell) => backendOf(cell) === backend);
  const byAlgorithm = [...groupBy(here, algorithmOf).values()];
  if (byAlgorithm.length < 2) return [];
  return byAlgorithm.reduce<readonly CompletedCell[]>(
    (best, cells) => (best.length === 0 || meanAccuracy(cells) > meanAccuracy(best) ? cells : best),
    [],
  );
}

/** What cells are held against. */
interface Yardstick {
  readonly best: readonly CompletedCell[];
  readonly margins: Margins;
}

function standingIn(
  cells: readonly CompletedCell[],
  { best, margins }: Yardstick,
): Standing | undefined {
  const difference = differenceOf(cells, best);
  return difference && standingOf(difference, margins);
}

function entry(
  place: { readonly algorithm: string; readonly backend: string },
  seeds: readonly CellResult[],
  yardstick: Yardstick,
): Entry {
  const { best } = yardstick;
  const cells = seeds.filter(isCompleted);
  const others = seeds.filter((result) => !isCompleted(result));
  const asked = seeds.length > 0;
  const states = unique(others.map(({ state }) => stateLabel(state)));
  if (cells.length === 0) {
    const accuracy = seeds.length === 0 ? "–" : states.join(", ");
    return { ...place, asked, accuracy, drop: "", cells, best: false };
  }
  const loss = mean(cells.map((cell) => cell.accuracy.float - deviceAccuracy(cell)));
  const isBest = best[0] !== undefined && algorithmOf(best[0]) === place.algorithm;
  const guessing = cells.filter(isAtChance).length;
  const flagged = cells.filter(missesGate).length;
  const kernels = kernelNote(cells);
  const ofSeeds = (count: number) =>
    seeds.length === 1 ? "" : `${String(count)} of ${String(seeds.length)} seeds `;
  const notes = [
    // A mean over fewer seeds than were run has to say so.
    ...(others.length > 0 ? [`${ofSeeds(cells.length)}; else ${states.join(", ")}`] : []),
    ...(guessing > 0 ? [`${ofSeeds(guessing)}at chance`] : []),
    ...(flagged > 0 ? [`⚠ ${ofSeeds(flagged)}below simulation`] : []),
    ...(kernels === undefined ? [] : [kernels]),
  ];
  return {
    ...{ ...place, asked },
    accuracy: percentOverSeeds(cells.map(deviceAccuracy)),
    drop: points(loss),
    cells,
    loss,
    best: isBest,
    standing: isBest ? undefined : standingIn(cells, yardstick),
    ...(notes.length > 0 && { note: notes.join("; ").replace(" ;", ";") }),
  };
}

/** Where a cell's own page lies, from the index. */
export const pageOf = (cell: CellResult): string =>
  `cells/${encodeURIComponent(cellName(cell))}.html`;

export const shortId = ({ id }: CellResult): string => id.slice(0, 12);
