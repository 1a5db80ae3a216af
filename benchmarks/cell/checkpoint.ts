import { readFile } from "node:fs/promises";
import type { Filters } from "../../algorithms/laboratory.js";
import type { Operators } from "../../algorithms/network.js";
import {
  decodeSafetensors,
  encodeSafetensors,
  float32,
  type HostTensors,
} from "../../pipelines/engine/index.js";
import type { FineTuned, SearchKeeper } from "../../pipelines/quantize/index.js";
import type { TrainingKeeper } from "../../pipelines/train/index.js";
import { searchSchema, type SearchResult } from "../../results/searchSchema.js";
import { writeAtomically } from "../../results/writeAtomically.js";
import type { CellContext } from "./context.js";
import { keptSearch, keptTraining } from "./keptTraining.js";

/** The result of a float or quantized training. */
export interface Checkpoint {
  readonly tensors: HostTensors;
  readonly losses: Float32Array;
  /** Share of each step's images that were classified right. */
  readonly accuracies: Float32Array;
  readonly divergedAt?: number;
  /** Of the float network on the test set; absent for quantized trainings. */
  readonly accuracy?: number;
  /** Of the float network: which test images are right, as text; absent in older files. */
  readonly correct?: string;
  /** Bits of each site, as the algorithm chose them; empty for float trainings. */
  readonly bits: ReadonlyMap<string, number>;
  /** Output channels by convolution, where the algorithm's search chose them. */
  readonly filters?: Filters;
  /** Convolutions that became other operators, where the algorithm's search chose them. */
  readonly operators?: Operators;
  /** What quantized training made of a network that came trained. */
  readonly fineTuned?: FineTuned;
  /** What the algorithm's search did; absent where there was none. */
  readonly search?: SearchResult;
}

/** Keep what goes on while a stage is computed. */
export interface StageKeepers {
  readonly training: TrainingKeeper;
  readonly search: SearchKeeper;
}

interface KeptSearchName {
  readonly name?: string;
  readonly isShared?: boolean;
}

const LOSSES = "training losses";
const ACCURACIES = "training accuracies";
const vector = (values: Float32Array) => float32(values, [values.length]);

/** Under which names it is kept how far a stage is that has not ended: of its training, and of its search. */
export const unfinishedNames = (key: string) => ({ training: key, search: `${key}.search` });

/**
 * Loads a stage's result, or computes and stores it; the file appears whole or not at all. One that is
 * damaged, or of another stage, is computed again, and said. Trainings inside go on where they were stopped.
 *
 * @param options.name under which name a search inside is kept, and whether it stays for other stages that share it
 */
export async function storedOnce(
  context: Pick<CellContext, "directory" | "onNote">,
  key: string,
  compute: (kept: StageKeepers) => Promise<Checkpoint>,
  { name = unfinishedNames(key).search, isShared = false }: KeptSearchName = {},
): Promise<Checkpoint> {
  const stored = await storedCheckpoint(context, key);
  if (stored !== undefined) return stored;
  const { directory, onNote } = context;
  const note = (file: string, what: string) => (reason: string) => {
    onNote(`${file} cannot be used: ${reason}; the ${what} starts anew`);
  };
  const unfinished = directory.unfinishedStageFile(unfinishedNames(key).training);
  const searching = directory.unfinishedStageFile(name);
  const training = await keptTraining(unfinished, key, note(unfinished, "training"));
  const search = await keptSearch(searching, name, note(searching, "search"));
  const result = await compute({ training, search });
  const file = encodeSafetensors(
    { ...result.tensors, [LOSSES]: vector(result.losses), [ACCURACIES]: vector(result.accuracies) },
    {
      key,
      ...(result.accuracy !== undefined && { accuracy: String(result.accuracy) }),
      ...(result.correct !== undefined && { correct: result.correct }),
      ...(result.divergedAt !== undefined && { divergedAt: String(result.divergedAt) }),
      bits: JSON.stringify([...result.bits]),
      ...(result.filters && { filters: JSON.stringify(result.filters) }),
      ...(result.operators && { operators: JSON.stringify(result.operators) }),
      ...(result.fineTuned && { fineTuned: JSON.stringify(result.fineTuned) }),
      ...(result.search !== undefined && { search: JSON.stringify(result.search) }),
    },
  );
  await writeAtomically(directory.stageFile(key), file);
  await training.forget();
  await (isShared ? search.keepLast() : search.forget());
  return result;
}

/** A stage's result where its file is there and as it was written; one that cannot be used is said. */
export async function storedCheckpoint(
  { directory, onNote }: Pick<CellContext, "directory" | "onNote">,
  key: string,
): Promise<Checkpoint | undefined> {
  const path = directory.stageFile(key);
  const file = await readFile(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    return decodeCheckpoint(file, key);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    onNote(`${path} cannot be used: ${reason}; it is computed again`);
    return undefined;
  }
}

/** @throws Error saying what is wrong with a file that is not as it was written, or is another stage's */
export function decodeCheckpoint(file: Uint8Array, key: string): Checkpoint {
  const { tensors, metadata, isSealed } = decodeSafetensors(file);
  if (!isSealed) throw new Error("it has no checksum");
  if (metadata["key"] !== key)
    throw new Error(`it is the stage ${metadata["key"] ?? "of no name"}`);
  const { [LOSSES]: losses, [ACCURACIES]: accuracies, ...rest } = tensors;
  if (!(losses?.data instanceof Float32Array) || !(accuracies?.data instanceof Float32Array))
    throw new Error("it holds no losses and accuracies");
  return {
    tensors: rest,
    losses: losses.data,
    accuracies: accuracies.data,
    ...(metadata["accuracy"] !== undefined && { accuracy: Number(metadata["accuracy"]) }),
    ...(metadata["correct"] !== undefined && { correct: metadata["correct"] }),
    ...(metadata["divergedAt"] !== undefined && { divergedAt: Number(metadata["divergedAt"]) }),
    ...(metadata["filters"] !== undefined && {
      filters: JSON.parse(metadata["filters"]) as Filters,
    }),
    ...(metadata["operators"] !== undefined && {
      operators: JSON.parse(metadata["operators"]) as Operators,
    }),
    ...(metadata["fineTuned"] !== undefined && {
      fineTuned: JSON.parse(metadata["fineTuned"]) as FineTuned,
    }),
    ...(metadata["search"] !== undefined && {
      search: searchSchema.parse(JSON.parse(metadata["search"])),
    }),
    bits: new Map(JSON.parse(metadata["bits"] ?? "[]") as [string, number][]),
  };
}
