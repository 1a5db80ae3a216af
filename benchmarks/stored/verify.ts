import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import type { CellResult } from "../../results/schema.js";
import { cellName, RunDirectory } from "../../results/store.js";
import { runCell } from "../cell/index.js";
import { contextFor, findCell } from "./storedCell.js";

export interface Difference {
  readonly cell: string;
  readonly field: string;
  readonly stored: unknown;
  readonly repeated: unknown;
}

/** Numbers that may differ because another processor computed them. */
export interface OtherKernels {
  readonly cell: string;
  /** How many differ. */
  readonly fields: number;
  readonly why: string;
}

export interface Verification {
  readonly cells: readonly string[];
  /** Cells of which numbers were left out that native kernels decide, since the stored ones were others. */
  readonly otherKernels: readonly OtherKernels[];
  readonly differences: readonly Difference[];
}

export interface VerifyOptions {
  readonly directory: string;
  /** How many finished cells to repeat. */
  readonly cells: number;
  /** Only cells whose ids start with one of these. */
  readonly ids: readonly string[];
  readonly dataDirectory?: string | undefined;
  readonly onStage: (cell: string, stage: string, step?: number, steps?: number) => void;
}

/**
 * Runs finished cells again from scratch, float training included, in an empty directory, and
 * compares everything but measured times.
 *
 * @throws Error when this installation cannot reproduce the cells: another engine or version
 */
export async function verify(options: VerifyOptions): Promise<Verification> {
  const chosen = await chosenCells(options);
  const scratch = new RunDirectory(await mkdtemp(join(os.tmpdir(), "quantbench-verify-")));
  const differences: Difference[] = [];
  const otherKernels: OtherKernels[] = [];
  try {
    await scratch.create();
    for (const result of chosen) {
      const repeated = await repeat(result, scratch, options);
      const found = compare(cellName(result), reproducible(result), reproducible(repeated));
      const why = whyOtherKernels(result, repeated);
      const counted = found.filter(({ field }) => why === undefined || !OF_KERNELS.test(field));
      const fields = found.length - counted.length;
      if (why !== undefined) otherKernels.push({ cell: cellName(result), fields, why });
      differences.push(...counted);
    }
  } finally {
    await rm(scratch.path, { recursive: true, force: true });
  }
  return { cells: chosen.map(cellName), otherKernels, differences };
}

/**
 * The finished cells that were asked for.
 *
 * @throws Error when there are none, or an id fits none or several
 */
export async function chosenCells({ directory, ids, cells }: VerifyOptions): Promise<CellResult[]> {
  const stored = [...(await new RunDirectory(directory).readCells()).values()];
  const chosen =
    ids.length > 0 ? ids.map((id) => findCell(stored, id)) : chooseCells(stored, cells);
  const timed = chosen.find(keepsToTime);
  if (timed !== undefined)
    throw new Error(
      `cell ${cellName(timed)} keeps to microseconds that were measured, which are others each time: it cannot be computed again`,
    );
  if (chosen.length === 0) throw new Error(`${directory} holds no finished cell to verify`);
  return chosen;
}

/** Spread over the run: every n-th cell in the order of ids, which are hashes. */
function chooseCells(stored: readonly CellResult[], count: number): CellResult[] {
  return stored
    .filter(({ state }) => state === "completed" || state === "notConverged")
    .filter((result) => !keepsToTime(result))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .slice(0, count);
}

/** Whether a clock decided about the network. */
const keepsToTime = ({ config }: CellResult): boolean =>
  config.variant?.budget?.unit === "microseconds";

async function repeat(
  result: CellResult,
  directory: RunDirectory,
  { directory: from, dataDirectory, onStage }: VerifyOptions,
): Promise<CellResult> {
  const { cell, context } = await contextFor(result, {
    dataDirectory,
    stored: new RunDirectory(from),
    directory,
    onStage: (stage, progress) => {
      onStage(cellName(result), stage, progress?.step, progress?.steps);
    },
  });
  return runCell(cell, context);
}

/** A result without what was measured. */
export function reproducible(result: CellResult): Record<string, unknown> {
  if (result.state !== "completed") return { ...result };
  const { measured: _, ...rest } = result;
  return rest;
}

/** What results of earlier versions lack: there is nothing to compare it with. */
const LATER_FIELDS =
  /^correctImages|^sparsity|^inspection\.(sites\.\d+\.(histogram|ties)|partings|integersPartings|isDeployedGraph)|^deployment|^cost\.(float|quantized)\.hardware\.\w+$|^runtimes\.onnxruntime(Precise|Reduced)$/;

/** Says where it was computed. */
const MACHINE = /^deployment\.(runtime|instructionSet|saturates)$/;

/** How the integer reference is written down, which versions change without a number. */
const WRITTEN = /^runtimes\.integers\.modelBytes$/;

/** What native kernels decide: onnxruntime's numbers, and what is compared with them. */
const OF_KERNELS =
  /^(accuracy\.deployed|agreement|runtimes\.onnxruntime(Precise|Reduced)?\.|runtimes\.\w+\.equalLogits|correctImages\.device|deployment|inspection\.(partings|isDeployedGraph|sites\.\d+\.(differing|largestSteps|ties)$))/;

/** Why the native kernels of two results need not give the same; nothing where they must. */
export function whyOtherKernels(stored: CellResult, repeated: CellResult): string | undefined {
  if (stored.state !== "completed" || repeated.state !== "completed") return undefined;
  const [there, here] = [stored.deployment, repeated.deployment];
  if (here?.kernels === "shipped" && here.saturates !== (there?.saturates ?? false))
    return "the 8-bit kernels of one of the two processors saturate";
  if (there === undefined || here === undefined || there.instructionSet === here.instructionSet)
    return undefined;
  return `they ran on ${there.instructionSet}, here on ${here.instructionSet}`;
}

/** Fields that differ, with the path to each. */
export function compare(
  cell: string,
  stored: unknown,
  repeated: unknown,
  field = "",
): Difference[] {
  if (Object.is(stored, repeated)) return [];
  if (stored === undefined && LATER_FIELDS.test(field)) return [];
  if (MACHINE.test(field) || WRITTEN.test(field)) return [];
  const bothObjects =
    typeof stored === "object" &&
    typeof repeated === "object" &&
    stored !== null &&
    repeated !== null;
  if (!bothObjects) return [{ cell, field, stored, repeated }];
  const [a, b] = [stored as Record<string, unknown>, repeated as Record<string, unknown>];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) =>
    compare(cell, a[key], b[key], field === "" ? key : `${field}.${key}`),
  );
}
