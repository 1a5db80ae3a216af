import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { choiceOf, engineIdentity, loadEngine } from "../pipelines/engine/index.js";
import type { CellResult } from "../results/schema.js";
import { cellName, RunDirectory } from "../results/store.js";
import { runCell } from "./cell.js";
import { buildCell, loadDataset, planCell } from "./plan.js";

export interface Difference {
  readonly cell: string;
  readonly field: string;
  readonly stored: unknown;
  readonly repeated: unknown;
}

export interface Verification {
  readonly cells: readonly string[];
  readonly differences: readonly Difference[];
}

export interface VerifyOptions {
  readonly directory: string;
  /** How many finished cells to repeat. */
  readonly cells: number;
  /** Only cells whose ids start with one of these. */
  readonly ids: readonly string[];
  readonly dataDirectory: string;
  readonly onStage: (cell: string, stage: string, step?: number, steps?: number) => void;
}

/**
 * Runs finished cells again from scratch, float training included, in an empty directory, and
 * compares everything but measured times.
 *
 * @throws Error when this installation cannot reproduce the cells: another engine or version
 */
export async function verify(options: VerifyOptions): Promise<Verification> {
  const stored = [...(await new RunDirectory(options.directory).readCells()).values()];
  const chosen =
    options.ids.length > 0 ? namedCells(stored, options.ids) : chooseCells(stored, options.cells);
  const [first] = chosen;
  if (first === undefined) throw new Error(`${options.directory} holds no finished cell to verify`);
  const scratch = new RunDirectory(await mkdtemp(join(os.tmpdir(), "quantbench-verify-")));
  const differences: Difference[] = [];
  try {
    await scratch.create();
    for (const result of chosen) {
      const repeated = await repeat(result, scratch, options);
      differences.push(...compare(cellName(result), reproducible(result), reproducible(repeated)));
    }
  } finally {
    await rm(scratch.path, { recursive: true, force: true });
  }
  return { cells: chosen.map(cellName), differences };
}

/** Spread over the run: every n-th cell in the order of ids, which are hashes. */
function chooseCells(stored: readonly CellResult[], count: number): CellResult[] {
  return stored
    .filter(({ state }) => state === "completed" || state === "notConverged")
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .slice(0, count);
}

/** @throws Error naming the id when no finished cell, or more than one, starts with it */
function namedCells(stored: readonly CellResult[], ids: readonly string[]): CellResult[] {
  return ids.map((id) => {
    const [found, ...more] = stored.filter((result) => result.id.startsWith(id));
    if (found === undefined) throw new Error(`no stored cell has an id that starts with "${id}"`);
    if (more.length > 0)
      throw new Error(
        `${String(more.length + 1)} cells have ids that start with "${id}"; give more of it`,
      );
    if (found.state !== "completed" && found.state !== "notConverged")
      throw new Error(`cell ${cellName(found)} is ${found.state}: there is no number to compare`);
    return found;
  });
}

async function repeat(
  { id, config }: CellResult,
  directory: RunDirectory,
  { dataDirectory, onStage }: VerifyOptions,
): Promise<CellResult> {
  const { name, lowering } = config.engine;
  // Names come from EngineName; other engines than onnxruntime have no lowerings.
  const engine = await loadEngine(
    name as "onnxruntime",
    name === "onnxruntime" ? choiceOf(lowering) : "auto",
  );
  const dataset = await loadDataset(config.dataset.name, dataDirectory, config.hyperparameters);
  if (dataset.checksum !== config.dataset.checksum) {
    throw new Error(`data set "${dataset.name}" has other files than the run had`);
  }
  const { algorithm, backend } = buildCell(config, dataset);
  const now = planCell(
    {
      ...config,
      algorithm: { name: algorithm.name, version: algorithm.version },
      backend: { name: backend.name, version: backend.version },
      engine: engineIdentity(engine),
    },
    dataset,
  );
  if (now.id !== id) {
    throw new Error(
      `cell ${cellName({ id, config })} was computed by other versions and cannot be bit-equal: ` +
        `${versions(config)}; this installation has ${versions(now.config)}`,
    );
  }
  return runCell(now, {
    engine,
    dataset,
    directory,
    onProgress: (stage, progress) => {
      onStage(cellName({ id, config }), stage, progress?.step, progress?.steps);
    },
  });
}

const versions = ({ engine, algorithm, backend, numerics }: CellResult["config"]): string =>
  [
    ...[engine, algorithm, backend, { name: "numerics", version: numerics }].map(
      ({ name, version }) => `${name} ${String(version)}`,
    ),
    `lowering ${engine.lowering ?? "standard"}`,
  ].join(", ");

/** A result without what was measured. */
function reproducible(result: CellResult): Record<string, unknown> {
  if (result.state !== "completed") return { ...result };
  const { measured: _, ...rest } = result;
  return rest;
}

/** Fields that differ, with the path to each. */
function compare(cell: string, stored: unknown, repeated: unknown, field = ""): Difference[] {
  if (Object.is(stored, repeated)) return [];
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
