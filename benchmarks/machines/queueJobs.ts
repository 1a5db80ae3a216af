import { canonicalHash } from "../../results/canonicalHash.js";
import type { Cell } from "../planning/index.js";
import { makeJobs, jobCost, type Plan } from "../running/index.js";
import type { Announcement, QueuedJob } from "./schema.js";

export const pretrainJobId = (key: string): string => `pretrain-${key}`;
export const cellJobId = (id: string): string => `cell-${id}`;

/** More than BullMQ has levels is one level. */
const LOWEST = 2 ** 21 - 1;

/**
 * A job for each float training, then for each cell. Of cells that share a quantized training the
 * first one trains, and the others wait for it. The longest run first, so that no machine idles at the end.
 *
 * @param cells those that can be run
 * @param code the program that may compute them
 */
export function queueJobs(plan: Plan, cells: readonly Cell[], code: string): QueuedJob[] {
  const grouped = makeJobs(plan, cells, "", { parallel: 1 });
  const jobs = grouped.flatMap((job, index): QueuedJob[] => {
    const [first] = job.cells;
    if (first === undefined) return [];
    const common = { priority: Math.min(LOWEST, index + 1) };
    const dataOf = ({ id, config }: Cell) => ({ code, cellId: id, config });
    if (job.kind === "pretrain") {
      const cost = jobCost(plan, job);
      const data = { ...dataOf(first), kind: "pretrain" as const, cost };
      return [{ id: pretrainJobId(job.id), data, ...common }];
    }
    const after = job.after === undefined ? undefined : pretrainJobId(job.after);
    return job.cells.map((cell, i): QueuedJob => {
      const previous = i === 0 ? after : cellJobId(first.id);
      const cost = i === 0 ? cell.cost : cell.cost - cell.trainingCost;
      return {
        ...{
          id: cellJobId(cell.id),
          data: { ...dataOf(cell), kind: "cell" as const, cost },
          ...common,
        },
        ...(previous !== undefined && { after: previous }),
      };
    });
  });
  return jobs;
}

/** The same for all who can work together on the same results. */
export function queueName(announcement: Announcement): string {
  const {
    name,
    code,
    engine,
    lowering,
    engineIdentity: identity,
    datasetChecksum,
    store,
  } = announcement;
  const hash = canonicalHash({ code, engine, lowering, identity, datasetChecksum, store });
  return `${name.replace(/[^\w.-]/g, "-")}-${hash.slice(0, 12)}`;
}
