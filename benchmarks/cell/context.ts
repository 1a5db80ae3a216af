import type { Engine } from "../../pipelines/engine/index.js";
import type { Dataset, ImageProgress, TrainingProgress } from "../../pipelines/train/index.js";
import type { RunDirectory } from "../../results/store.js";
import type { Cell } from "../planning/index.js";

/** What all cells of a run share. */
export interface CellContext {
  readonly engine: Engine;
  readonly dataset: Dataset;
  readonly directory: RunDirectory;
  readonly onProgress: (stage: string, progress?: TrainingProgress | ImageProgress) => void;
  /** Told what a user should know and no result says. */
  readonly onNote: (text: string) => void;
}

/** Names of the stored stages that a cell uses: its float and its quantized training. */
export function stageKeys({ pretrainKey, trainingKey }: Cell): [float: string, quantized: string] {
  return [`float-${pretrainKey}`, `quantized-${trainingKey}`];
}

/** Under which name a cell's search is kept: while it goes on, or for all cells that its result serves. */
export const searchName = (cell: Cell): string =>
  cell.searchKey === undefined ? `${stageKeys(cell)[1]}.search` : `searched-${cell.searchKey}`;
