import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import type { EngineName } from "../../pipelines/engine/index.js";
import type { CellResult } from "../../results/schema.js";
import { cellName, RunDirectory } from "../../results/store.js";
import {
  pretrain,
  runCell,
  stageKeys,
  storedCheckpoint,
  storedOnce,
  type CellContext,
  type Checkpoint,
} from "../cell/index.js";
import { planCell } from "../planning/index.js";
import { contextFor } from "./storedCell.js";
import { chosenCells, type VerifyOptions } from "./verify.js";

/**
 * How far apart rounding of float32 alone takes losses before the first step, where nothing has
 * been learned yet: relative. Float networks differ in the order of sums; quantized ones also in
 * values that lie on the border of two levels.
 */
const FIRST_LOSS = { float: 1e-5, quantized: 1e-2 };

/** One number of a cell on both engines. */
export interface Distance {
  readonly what: string;
  readonly stored: number;
  readonly other: number;
  /** The largest distance that rounding explains; absent where trainings may drift apart. */
  readonly limit?: number;
}

export interface CrossCheck {
  readonly cell: string;
  /** Names and versions of the two engines. */
  readonly engines: { readonly stored: string; readonly other: string };
  readonly distances: readonly Distance[];
}

export const distanceOf = ({ stored, other }: Distance): number => Math.abs(stored - other);

/** Whether rounding cannot explain the distance. */
export const isTooFar = (distance: Distance): boolean =>
  distance.limit !== undefined && !(distanceOf(distance) <= distance.limit);

/**
 * Computes finished cells on another engine. Both trainings begin where the stored ones did: the
 * float training from the same first weights, the quantized one from the run's own float
 * checkpoint, so that what the engines compute differently shows before it is drowned in drift.
 *
 * @throws Error when the cells were computed by this engine, or it is missing here
 */
export async function crossCheck(
  options: VerifyOptions & { readonly engine: EngineName },
): Promise<CrossCheck[]> {
  const scratch = await mkdtemp(join(os.tmpdir(), "quantbench-verify-"));
  try {
    const checks: CrossCheck[] = [];
    for (const [i, result] of (await chosenCells(options)).entries())
      checks.push(await checkCell(result, join(scratch, String(i)), options));
    return checks;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function checkCell(
  result: CellResult,
  scratch: string,
  options: VerifyOptions & { readonly engine: EngineName },
): Promise<CrossCheck> {
  const { engine: computed } = result.config;
  if (computed.name === options.engine)
    throw new Error(`${cellName(result)} was computed by ${computed.name}; name another engine`);
  const own = await directoryAt(join(scratch, "own"));
  const { cell, context } = await contextFor(result, {
    ...{ engine: options.engine, directory: own, stored: new RunDirectory(options.directory) },
    dataDirectory: options.dataDirectory,
    onStage: (stage, progress) => {
      options.onStage(cellName(result), stage, progress?.step, progress?.steps);
    },
  });
  const float = {
    stored: await storedFloat(result, context, options, own),
    other: await pretrain(cell, context),
  };
  const common = await directoryAt(join(scratch, "common"));
  await storedOnce({ ...context, directory: common }, stageKeys(cell)[0], () =>
    Promise.resolve(float.stored),
  );
  const repeated = await runCell(cell, { ...context, directory: common });
  const { engine } = cell.config;
  return {
    cell: cellName(result),
    engines: {
      stored: `${computed.name} ${String(computed.version)}`,
      other: `${engine.name} ${String(engine.version)}`,
    },
    distances: [
      ...losses("float", float.stored.losses, float.other.losses),
      ...losses("quantized", lossesOf(result), lossesOf(repeated)),
      ...accuracies(result, repeated, float),
    ],
  };
}

async function directoryAt(path: string): Promise<RunDirectory> {
  const directory = new RunDirectory(path);
  await directory.create();
  return directory;
}

/** The float checkpoint of the run; where it did not keep it, it is computed again. */
async function storedFloat(
  result: CellResult,
  { dataset, onNote }: CellContext,
  { directory, dataDirectory, onStage }: VerifyOptions,
  scratch: RunDirectory,
): Promise<Checkpoint> {
  const run = new RunDirectory(directory);
  const cell = planCell(result.config, dataset);
  const [key] = stageKeys(cell);
  const stored = await storedCheckpoint({ directory: run, onNote }, key);
  if (stored !== undefined) return stored;
  const { context } = await contextFor(result, {
    ...{ dataDirectory, stored: run, directory: scratch },
    onStage: (stage, progress) => {
      onStage(cellName(result), `${stage} as stored`, progress?.step, progress?.steps);
    },
  });
  return pretrain(cell, context);
}

const lossesOf = (result: CellResult): readonly number[] =>
  "losses" in result ? result.losses.map((loss) => loss ?? NaN) : [];

/** Losses of steps 1, 2, 5, 10, 20, 50, ... and the last. */
function losses(
  training: keyof typeof FIRST_LOSS,
  stored: ArrayLike<number>,
  other: ArrayLike<number>,
): Distance[] {
  const count = Math.max(stored.length, other.length);
  const shown = [1, 2, 5].flatMap((first) =>
    [0, 1, 2, 3, 4, 5].map((zeros) => first * 10 ** zeros),
  );
  const steps = shown.filter((step) => step < count).toSorted((a, b) => a - b);
  if (count > 0) steps.push(count);
  return steps.map((step) => {
    const [one = NaN, another = NaN] = [stored[step - 1], other[step - 1]];
    const limit = step === 1 ? { limit: FIRST_LOSS[training] * Math.abs(one) } : {};
    return {
      what: `${training} loss, step ${String(step)}`,
      stored: one,
      other: another,
      ...limit,
    };
  });
}

function accuracies(
  stored: CellResult,
  other: CellResult,
  float: { readonly stored: Checkpoint; readonly other: Checkpoint },
): Distance[] {
  const floats = {
    ...{ what: "accuracy, float", stored: float.stored.accuracy ?? NaN },
    other: float.other.accuracy ?? NaN,
  };
  if (stored.state !== "completed" || other.state !== "completed") return [floats];
  const of = (kind: "simulated" | "deployed"): Distance => ({
    ...{ what: `accuracy, ${kind}`, stored: stored.accuracy[kind], other: other.accuracy[kind] },
  });
  return [floats, of("simulated"), of("deployed")];
}
