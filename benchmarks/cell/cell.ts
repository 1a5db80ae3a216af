import type { FrozenNetwork } from "../../pipelines/freeze/index.js";
import { cellName } from "../../results/store.js";
import type { CellResult } from "../../results/schema.js";
import { buildCell, type Cell } from "../planning/index.js";
import { completedCell } from "./cellResult.js";
import type { Checkpoint } from "./checkpoint.js";
import type { CellContext } from "./context.js";
import { StagedCell, type TrainingFindings } from "./stagedCell.js";
import type { Subject } from "./stages.js";

/**
 * Runs one cell from its float checkpoint to the deployed network.
 *
 * @param shared what cells of the same training have found; gets what this one finds
 */
export async function runCell(
  cell: Cell,
  context: CellContext,
  shared: TrainingFindings = {},
): Promise<CellResult> {
  const { id, config } = cell;
  if (cell.unsupported !== undefined)
    return { id, config, state: "unsupported", reason: cell.unsupported };
  const subject: Subject = { cell, parts: buildCell(config, context.dataset), context };
  const staged = new StagedCell(subject, shared);
  const checkpoint = await staged.find("checkpoint");
  const diverged = (what: string, { losses, divergedAt = 0 }: Checkpoint): CellResult => ({
    id,
    config,
    state: "notConverged",
    reason: `the loss of ${what} became ${String(losses.at(-1))} at step ${String(divergedAt + 1)}`,
    floatAccuracy: checkpoint.accuracy ?? NaN,
    losses: Array.from(losses, (loss) => (Number.isFinite(loss) ? loss : null)),
  });
  if (checkpoint.divergedAt !== undefined) return diverged("the float training", checkpoint);
  const trained = await staged.find("trained");
  if (trained.divergedAt !== undefined) return diverged("the quantized training", trained);
  return completedCell(subject, staged);
}

/**
 * A cell's trained network, with nothing left to learn; what is not stored is computed again.
 *
 * @throws Error when the training does not converge
 */
export async function frozenCell(cell: Cell, context: CellContext): Promise<FrozenNetwork> {
  const staged = new StagedCell({ cell, parts: buildCell(cell.config, context.dataset), context });
  for (const training of ["checkpoint", "trained"] as const)
    if ((await staged.find(training)).divergedAt !== undefined)
      throw new Error(`${cellName(cell)} did not converge: it has no network`);
  return staged.find("frozen");
}
