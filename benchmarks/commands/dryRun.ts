import { cellName, RunDirectory } from "../../results/store.js";
import { loadOrDeclare } from "../inputs/index.js";
import { type Cell, mostInformativeFirst } from "../planning/index.js";
import {
  duration,
  estimateSeconds,
  finishedCells,
  makeJobs,
  makePlan,
  type Plan,
  type RunOptions,
} from "../running/index.js";
import { print } from "./exit.js";

/** More cells than this are counted, not listed. */
const MOST_LISTED = 100;

/** Says what a run would do, and how long it takes; runs and writes nothing. */
export async function dryRun(options: RunOptions, json: boolean): Promise<void> {
  const plan = await makePlan(options, loadOrDeclare);
  const finished = options.force ? new Map<string, never>() : await finishedCells(options.out);
  const missing = plan.cells.filter(({ id }) => !finished.has(id));
  const { pending, seconds } = await fitting(plan, missing, options);
  const chosen = new Set(pending);
  const cells = plan.cells.map((cell) => ({
    cell: cellName(cell),
    state: finished.get(cell.id)?.state ?? stateOf(cell, chosen),
    ...(cell.unsupported !== undefined && { reason: cell.unsupported }),
    config: cell.config,
  }));
  if (json) {
    const listed = cells.map(({ cell, state, reason }) => ({
      ...{ cell, state },
      ...(reason !== undefined && { reason }),
    }));
    print(JSON.stringify({ cells: listed, estimateSeconds: seconds }, null, 2));
    return;
  }
  if (cells.length <= MOST_LISTED)
    for (const { cell, state } of cells) print(`${state.padEnd(13)} ${cell}`);
  else
    print(
      `${String(cells.length)} cells, by state and network (--json lists each of them, --only chooses):`,
    );
  const groups = new Map<string, number>();
  const count = (line: string) => groups.set(line, (groups.get(line) ?? 0) + 1);
  if (cells.length > MOST_LISTED)
    for (const { state, config } of cells)
      count(`${state.padEnd(13)} ${config.model.name}, width ${String(config.model.width)}`);
  for (const { state, reason } of cells)
    if (state === "unsupported" && reason !== undefined) count(`unsupported   because ${reason}`);
  for (const [line, members] of groups) print(`${String(members).padStart(6)}  ${line}`);
  print(
    `${String(pending.length)} of ${String(cells.length)} cells to run, about ${duration(seconds)} with ${String(options.jobs)} processes`,
  );
}

const stateOf = (cell: Cell, chosen: ReadonlySet<Cell>): string =>
  !chosen.has(cell) ? "left out" : cell.unsupported === undefined ? "to run" : "unsupported";

/** The cells that will run, and how long they take: all, or as many as fit into the time. */
async function fitting(plan: Plan, missing: readonly Cell[], options: RunOptions) {
  const { seconds: limit, jobs: parallel, out } = options;
  const stages = await new RunDirectory(out).stages();
  const estimate = (cells: readonly Cell[]) =>
    estimateSeconds(
      plan,
      makeJobs(plan, cells, out, { stages, parallel, inGivenOrder: limit !== undefined }),
      parallel,
    );
  if (limit === undefined) return { pending: missing, seconds: estimate(missing) };
  const ordered = mostInformativeFirst(missing);
  let [low, high] = [0, ordered.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (estimate(ordered.slice(0, middle)) <= limit) low = middle;
    else high = middle - 1;
  }
  const pending = ordered.slice(0, low);
  return { pending, seconds: estimate(pending) };
}
