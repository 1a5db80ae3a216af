import { existsSync, readFileSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";
import { accuracyCsv, latencyCsv } from "./csv.js";
import { makeDirectory } from "./makeDirectory.js";
import { PACKED_CELLS, packCells, unpackCells } from "./packedCells.js";
import {
  cellResultSchema,
  environmentSchema,
  runSchema,
  type CellConfig,
  type CellResult,
  type Environment,
  type Run,
} from "./schema.js";
import { sealed, unsealed } from "./sealedJson.js";
import { removeLeftovers, writeAtomically } from "./writeAtomically.js";

const HASH_DIGITS = 12;
/** While files are written, the next pages are made. */
const WRITES_AT_A_TIME = 16;
const MATRIX_FILE = "matrix.yaml";
/** Folders of a report that have a file for each cell or group of cells. */
const REPORT_FOLDERS = ["cells", "data"] as const;
const STAGE_ENDING = ".safetensors";

/**
 * A run's directory. Every file is written whole or not at all, so that whatever kills the
 * process, what is there can be read.
 *
 *     matrix.yaml  run.json  environment.json  accuracy.csv  latency.csv  report/
 *     cells/     one JSON file for each finished cell
 *     models/    the exported networks
 *     stages/    checkpoints that cells share
 *
 * Where results are to stay small, one file, cells.jsonl.br, has the finished cells; what cells/
 * has beside it counts more.
 */
export class RunDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get models(): string {
    return join(this.path, "models");
  }
  get #stages(): string {
    return join(this.path, "stages");
  }
  get report(): string {
    return join(this.path, "report");
  }
  get #cells(): string {
    return join(this.path, "cells");
  }
  get #packedCells(): string {
    return join(this.path, PACKED_CELLS);
  }

  stageFile(key: string): string {
    return join(this.#stages, `${key}${STAGE_ENDING}`);
  }

  /** Where a stage that is still being computed keeps how far it is. */
  unfinishedStageFile(key: string): string {
    return join(this.#stages, `${key}.unfinished`);
  }

  /** Keys of the stages that are stored; none where nothing is. */
  async stages(): Promise<ReadonlySet<string>> {
    const files = await readdir(this.#stages).catch(nothingIfMissing);
    return new Set(
      files.filter((f) => f.endsWith(STAGE_ENDING)).map((f) => f.slice(0, -STAGE_ENDING.length)),
    );
  }

  async create(): Promise<void> {
    for (const directory of [this.#cells, this.models, this.#stages, this.report]) {
      await makeDirectory(directory);
      await removeLeftovers(directory);
    }
  }

  /** @throws ZodError when the result is not valid: what is written must be readable */
  async writeCell(result: CellResult): Promise<void> {
    cellResultSchema.parse(result);
    await writeJson(join(this.#cells, `${cellName(result)}.json`), result);
  }

  /**
   * Every stored result, by id.
   *
   * @throws Error naming the file and the field when a file is not a valid result
   */
  async readCells(): Promise<Map<string, CellResult>> {
    const results = new Map(this.#readPacked().map((result) => [result.id, result]));
    const inFiles = new Set<string>();
    for (const file of await this.#cellFiles()) {
      const path = join(this.#cells, file);
      const result = readJson(path, cellResultSchema);
      if (inFiles.has(result.id))
        throw new Error(`${path} holds a cell that another file holds too; delete one of them`);
      inFiles.add(result.id);
      results.set(result.id, result);
    }
    return results;
  }

  /** Leftovers of a killed write end otherwise. */
  async #cellFiles(): Promise<string[]> {
    const files = await readdir(this.#cells).catch(nothingIfMissing);
    return files.filter((file) => file.endsWith(".json"));
  }

  #readPacked(): CellResult[] {
    const path = this.#packedCells;
    if (!existsSync(path)) return [];
    try {
      return unpackCells(readFileSync(path));
    } catch (error) {
      throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  /**
   * Writes results into one small file, over the one that is there.
   *
   * @throws Error where cells lie in files of their own, which would count more
   */
  async writePacked(results: readonly CellResult[]): Promise<void> {
    if ((await this.#cellFiles()).length > 0)
      throw new Error(`${this.#cells} has results already; choose another directory`);
    await writeAtomically(this.#packedCells, packCells(results));
  }

  writeRun(run: Run): Promise<void> {
    return writeJson(join(this.path, "run.json"), run);
  }
  readRun(): Run {
    return readJson(join(this.path, "run.json"), runSchema);
  }
  /** The matrix that the run was asked for, as YAML. */
  writeMatrix(text: string): Promise<void> {
    return writeAtomically(join(this.path, MATRIX_FILE), text);
  }

  /** That matrix, where one was written. */
  async readMatrix(): Promise<string | undefined> {
    return readFile(join(this.path, MATRIX_FILE), "utf8").catch((error: unknown) => {
      expectMissing(error);
      return undefined;
    });
  }

  /** What a report can lead to: results in files of their own and exported networks by cell, the matrix. */
  async linkedFiles() {
    const models = await readdir(this.models).catch(nothingIfMissing);
    return {
      cells: new Set((await this.#cellFiles()).map((file) => file.replace(/\.json$/, ""))),
      models: new Set(models.map((file) => file.replace(/\.onnx$/, ""))),
      matrix: existsSync(join(this.path, MATRIX_FILE)),
    };
  }

  writeEnvironment(environment: Environment): Promise<void> {
    return writeJson(join(this.path, "environment.json"), environment);
  }
  readEnvironment(): Environment {
    return readJson(join(this.path, "environment.json"), environmentSchema);
  }

  /** Writes the files of a report and removes those of cells that are no longer part of it. */
  async writeReport(
    files: AsyncIterable<{ readonly path: string; readonly content: string }>,
  ): Promise<void> {
    for (const folder of REPORT_FOLDERS) await makeDirectory(join(this.report, folder));
    const written = new Set<string>();
    let writing: Promise<void>[] = [];
    for await (const { path, content } of files) {
      written.add(path);
      const file = join(this.report, path);
      // Writing over what is the same already takes longer than reading it.
      if (existsSync(file) && readFileSync(file, "utf8") === content) continue;
      // Not flushed: what a crash takes can be rendered again, and flushing thousands of pages
      // takes longer than making them.
      const write = writeFile(file, content);
      write.catch(() => undefined); // awaited with the others, below
      writing.push(write);
      if (writing.length < WRITES_AT_A_TIME) continue;
      await Promise.all(writing);
      writing = [];
    }
    await Promise.all(writing);
    for (const folder of REPORT_FOLDERS)
      for (const name of await readdir(join(this.report, folder)))
        if (!written.has(`${folder}/${name}`)) await rm(join(this.report, folder, name));
  }

  /** accuracy.csv holds what must not change between runs, latency.csv what was measured. */
  async writeTables(results: readonly CellResult[]): Promise<void> {
    await writeAtomically(join(this.path, "accuracy.csv"), accuracyCsv(results));
    await writeAtomically(join(this.path, "latency.csv"), latencyCsv(results));
  }
}

/** @throws what went wrong, if it is not that a file or folder is missing */
function expectMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}
function nothingIfMissing(error: unknown): string[] {
  expectMissing(error);
  return [];
}

/** Readable and unique: what the cell is, then the start of its id. The name of a file, whatever a result says. */
export function cellName({ id, config }: { id: string; config: CellConfig }): string {
  const { model, algorithm, backend, bits, seed } = config;
  return [
    model.checksum === undefined ? `${model.name}-w${String(model.width)}` : model.name,
    algorithm.name,
    backend.name,
    `w${String(bits.weights)}a${String(bits.activations)}`,
    `seed${String(seed)}`,
    id.slice(0, HASH_DIGITS),
  ]
    .join("--")
    .replace(/[^\w.-]+/g, "-");
}

async function writeJson(path: string, value: object): Promise<void> {
  await writeAtomically(path, sealed(value));
}

/** At once, not by promises: of thousands of small files, waiting for each takes most of the time. */
function readJson<T>(path: string, schema: z.ZodType<T>): T {
  const text = textOf(path);
  const parsed = schema.safeParse(unsealed(path, text));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new Error(`${path}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new Error(missing ? `${path} is missing` : `cannot read ${path}: ${String(error)}`, {
      cause: error,
    });
  }
}
