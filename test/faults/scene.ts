import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { openStore } from "../../benchmarks/machines/index.js";
import { quantbench, temporary } from "../cli/quantbench.js";
import { Program } from "../benchmarks/machines/program.js";

/** A matrix of short cells, which share trainings. */
export async function shortMatrix(): Promise<string> {
  const smoke = await readFile("benchmarks/matrices/smoke.yaml", "utf8");
  const path = join(await temporary(), "short.yaml");
  await writeFile(
    path,
    smoke
      .replace("trainImages: 640", "trainImages: 128")
      .replace("testImages: 400", "testImages: 64"),
  );
  return path;
}

export const table = (directory: string) => readFile(join(directory, "accuracy.csv"), "utf8");

/** The table of a run that nothing disturbs. */
export async function undisturbed(matrix: string): Promise<string> {
  const out = await temporary();
  const { code, stderr } = await quantbench(["run", matrix, "--out", out]);
  expect(code, stderr).toBe(0);
  return table(out);
}

/** Checksums of the finished cells of a run directory, by file. */
export async function cellsOf(directory: string): Promise<Map<string, string>> {
  const names = await readdir(join(directory, "cells")).catch(() => []);
  const cells = new Map<string, string>();
  for (const name of names.filter((file) => file.endsWith(".json"))) {
    const bytes = await readFile(join(directory, "cells", name));
    cells.set(name, createHash("sha256").update(bytes).digest("hex"));
  }
  return cells;
}

/** A store after the end: every object is as it was written, and no two machines disagreed. */
export async function expectWhole(path: string): Promise<void> {
  const store = openStore(path);
  for (const folder of ["cells", "models", "stages"])
    for (const name of await store.list(folder))
      expect(await store.get(`${folder}/${name}`), `${folder}/${name}`).toHaveProperty("bytes");
  expect(await store.list("disputes")).toEqual([]);
}

type Args = () => Promise<readonly string[]> | readonly string[];

/** A program that is started again whenever it was killed. */
export class Supervised {
  readonly #args: Args;
  program: Program;

  private constructor(args: Args, program: Program) {
    this.#args = args;
    this.program = program;
  }

  static async start(args: Args): Promise<Supervised> {
    return new Supervised(args, new Program(await args()));
  }

  async killAndRestart(): Promise<void> {
    this.program.killAll();
    await this.program.ended();
    this.program = new Program(await this.#args());
  }

  /** Kills one of the processes that the program has started; says whether there was one. */
  killChild(choose: (count: number) => number): boolean {
    const pids = descendants(this.program.pid);
    const pid = pids[choose(pids.length)];
    if (pid === undefined) return false;
    try {
      process.kill(pid, "SIGKILL");
      return true;
    } catch {
      return false; // it ended by itself
    }
  }
}

function descendants(pid: number | undefined): number[] {
  const rows = execFileSync("ps", ["-e", "-o", "pid=,ppid="], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  const childrenOf = (parent: number | undefined): number[] =>
    rows.filter(([, of]) => of === parent).flatMap(([child = 0]) => [child, ...childrenOf(child)]);
  return childrenOf(pid);
}
