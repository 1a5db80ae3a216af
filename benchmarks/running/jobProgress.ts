import type { Cell } from "../planning/index.js";
import type { ScheduledJob } from "./scheduler.js";

/** How far a cell is behind its training when a stage begins, as a part of what comes then. */
const BEHIND_TRAINING: readonly (readonly [stage: string, share: number])[] = [
  ["evaluation", 0],
  ["integers", 0.1],
  ["export", 0.1],
  ["deployment", 0.15],
  ["inspection", 0.75],
  ["latency", 0.8],
];

/** What one cell of a job costs: the first one pays for the training. */
export const costIn = ({ cells }: Pick<ScheduledJob, "cells">, cell: Cell): number =>
  cell === cells[0] ? cell.cost : cell.cost - cell.trainingCost;

/**
 * The part of a job's cost that is done, 0 to 1.
 *
 * @param finished how many of its cells are
 * @param training the part of the training's steps that are done
 */
export function shareDone(
  job: Pick<ScheduledJob, "kind" | "cells">,
  finished: number,
  { stage, training = 0 }: { readonly stage: string; readonly training?: number | undefined },
): number {
  if (job.kind === "pretrain") return stage === "float training" ? training : 0;
  const costs = job.cells.map((cell) => costIn(job, cell));
  const total = costs.reduce((a, b) => a + b, 0);
  if (finished >= job.cells.length || total === 0) return 1;
  const before = costs.slice(0, finished).reduce((a, b) => a + b, 0);
  const trained = finished === 0 ? (job.cells[0]?.trainingCost ?? 0) : 0;
  const behind = BEHIND_TRAINING.findLast(([name]) => stage.startsWith(name))?.[1];
  const here =
    behind === undefined
      ? trained * (stage === "quantized training" ? training : 0)
      : trained + behind * ((costs[finished] ?? 0) - trained);
  return (before + here) / total;
}
