import type { FrozenNetwork } from "../../pipelines/freeze/index.js";
import { cellName } from "../../results/store.js";
import type { CellResult } from "../../results/schema.js";
import { buildCell, type Cell } from "../planning/index.js";
import { completedCell } from "./cellResult.js";
import { encodePlanes } from "../../pipelines/export/index.js";
import { notFinite } from "../../pipelines/train/index.js";
import { storedCheckpoint, type Checkpoint } from "./checkpoint.js";
import { stageKeys, type CellContext } from "./context.js";
import { servedAt } from "../../algorithms/search/servedWidths.js";
import { StagedCell, type TrainingFindings } from "./stagedCell.js";
import { quantizedBy, type Subject } from "./stages.js";

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
  const diverged = (what: string, { tensors, losses, divergedAt = 0 }: Checkpoint): CellResult => ({
    id,
    config,
    state: "notConverged",
    reason: losses.every(Number.isFinite)
      ? `"${String(notFinite(tensors))}" is not finite after ${what}`
      : `the loss of ${what} became ${String(losses.at(-1))} at step ${String(divergedAt + 1)}`,
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
 * @param bits of weights, where the cell's network serves others than its own
 * @throws Error when the training does not converge, or the network does not serve these bits
 */
export async function frozenCell(
  cell: Cell,
  context: CellContext,
  bits = cell.config.bits.weights,
): Promise<FrozenNetwork> {
  const { subject, staged } = await convergedCell(cell, context);
  if (bits === cell.config.bits.weights) return staged.find("frozen");
  const { parts, trained } = served(subject, await staged.find("trained"), bits);
  return new StagedCell({ ...subject, parts }, { trained }).find("frozen");
}

/**
 * A cell's trained network with its quantizers; what is not stored is computed again.
 *
 * @throws Error when the training does not converge
 */
export async function trainedCell(cell: Cell, context: CellContext) {
  const { subject, staged } = await convergedCell(cell, context);
  const trained = await staged.find("trained");
  const { algorithm, backend } = subject.parts;
  return { algorithm, backend, ...quantizedBy(subject.parts, trained), tensors: trained.tensors };
}

export async function convergedCell(cell: Cell, context: CellContext) {
  const subject = { cell, parts: buildCell(cell.config, context.dataset), context };
  const staged = new StagedCell(subject);
  for (const training of ["checkpoint", "trained"] as const)
    if ((await staged.find(training)).divergedAt !== undefined)
      throw new Error(`${cellName(cell)} did not converge: it has no network`);
  return { subject, staged };
}

/**
 * All widths that a cell's network serves as one file, whose bit planes every width reads some of.
 *
 * @throws RangeError when the network serves no other width than its own
 */
export async function servedPlanes(cell: Cell, context: CellContext): Promise<Uint8Array> {
  const { serves } = buildCell(cell.config, context.dataset).algorithm;
  if (serves === undefined)
    throw new RangeError(`${cellName(cell)} serves no other bits of weights than its own`);
  const networks = new Map<number, FrozenNetwork>();
  for (const bits of serves) networks.set(bits, await frozenCell(cell, context, bits));
  const trained = await storedCheckpoint(context, stageKeys(cell)[1]);
  return encodePlanes(networks, trained?.tensors ?? {});
}

/** A cell's parts and training as its network is at other bits of weights. */
function served({ cell, parts, context }: Subject, trained: Checkpoint, bits: number) {
  const { config } = cell;
  const { serves = [] } = parts.algorithm;
  if (!serves.includes(bits))
    throw new RangeError(
      `${cellName(cell)} does not serve weights of ${String(bits)} bits, but ${[...new Set([...serves, config.bits.weights])].sort().join(", ")}`,
    );
  const at = buildCell({ ...config, bits: { ...config.bits, weights: bits } }, context.dataset);
  const ownBits = at.quantized.sites.map(({ id, scheme }) => [id, scheme.bitWidth] as const);
  const tensors = servedAt(trained.tensors, bits);
  return { parts: at, trained: { ...trained, tensors, bits: new Map(ownBits) } };
}
