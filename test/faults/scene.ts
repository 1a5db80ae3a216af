import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { openStore } from "../../benchmarks/machines/index.js";
import { quantbench, temporary } from "../cli/quantbench.js";
import { Program } from "../benchmarks/machines/program.js";
import { RedisServer } from "../benchmarks/machines/redisServer.js";
import { Proxy } from "./proxy.js";

/** Everything that a test starts, which ends with it. */
export class Scene {
  readonly matrix: string;
  readonly #atEnd: (end: () => unknown) => void;

  /** @param atEnd what vitest calls onTestFinished */
  constructor(matrix: string, atEnd: (end: () => Promise<void>) => void) {
    this.matrix = matrix;
    this.#atEnd = (end) => {
      atEnd(async () => {
        await end();
      });
    };
  }

  #kept<T>(thing: T, end: (thing: T) => unknown): T {
    this.#atEnd(() => end(thing));
    return thing;
  }

  async redis(...args: readonly string[]): Promise<RedisServer> {
    return this.#kept(await RedisServer.start(...args), (server) => server.kill());
  }

  async proxy(port: number): Promise<Proxy> {
    return this.#kept(await Proxy.to(port), (network) => {
      network.close();
    });
  }

  async program(args: Args, options: ProgramOptions = {}): Promise<Supervised> {
    return this.#kept(await Supervised.start(args, options), ({ program }) => {
      program.killAll();
    });
  }

  /** A worker that finds a new disk each time that it starts, as another machine would. */
  worker(url: string, store: string, options: ProgramOptions = {}): Promise<Supervised> {
    return this.program(
      async () => [
        ...["worker", "--queue", url, "--store", store, "--jobs", "1"],
        ...["--scratch", await temporary()],
      ],
      options,
    );
  }

  coordinator(url: string, store: string, options: ProgramOptions = {}): Promise<Supervised> {
    const { more = [] } = options;
    const args = ["run", this.matrix, "--queue", url, "--store", store, ...more];
    return this.program(() => args, options);
  }
}

/** How a program is started. */
interface ProgramOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** A program that runs it. */
  readonly under?: readonly string[];
  /** More arguments of a coordinator. */
  readonly more?: readonly string[];
}

/** A matrix of short cells, which share trainings, and its table where nothing disturbs it. */
export async function shortMatrix(): Promise<{
  readonly matrix: string;
  readonly expected: string;
}> {
  const smoke = await readFile("benchmarks/matrices/smoke.yaml", "utf8");
  const matrix = join(await temporary(), "short.yaml");
  await writeFile(
    matrix,
    smoke
      .replace("trainImages: 640", "trainImages: 128")
      .replace("testImages: 400", "testImages: 64"),
  );
  const out = await temporary();
  const { code, stderr } = await quantbench(["run", matrix, "--out", out]);
  expect(code, stderr).toBe(0);
  return { matrix, expected: await table(out) };
}

export const table = (directory: string) => readFile(join(directory, "accuracy.csv"), "utf8");

export const filesOf = (store: string, folder: string): string[] => {
  try {
    return readdirSync(join(store, folder)).map((name) => join(store, folder, name));
  } catch {
    return [];
  }
};

/** Checksums of the finished cells of a run directory, by file. */
export async function cellsOf(directory: string): Promise<Map<string, string>> {
  const names = await readdir(join(directory, "cells")).catch(() => []);
  const cells = new Map<string, string>();
  for (const name of names.filter((file) => file.endsWith(".json"))) {
    const bytes = await readFile(join(directory, "cells", name));
    if ((JSON.parse(bytes.toString()) as { state?: string }).state === "failed") continue; // runs again
    cells.set(name, createHash("sha256").update(bytes).digest("hex"));
  }
  return cells;
}

export function expectNothingLost(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): void {
  for (const [name, checksum] of before) expect(after.get(name), name).toBe(checksum);
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
  readonly #start: () => Promise<Program>;
  program: Program;

  private constructor(start: () => Promise<Program>, program: Program) {
    this.#start = start;
    this.program = program;
  }

  static async start(args: Args, { env, under }: ProgramOptions): Promise<Supervised> {
    const start = async () => new Program(await args(), env, under);
    return new Supervised(start, await start());
  }

  async restart(): Promise<void> {
    this.program.killAll();
    await this.program.ended();
    this.program = await this.#start();
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

/** Waits so long for the program to end; the exit code, or nothing while it runs. */
export async function endOf({ program }: Supervised, milliseconds: number) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const pause = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => {
      resolve(undefined);
    }, milliseconds);
  });
  const ended = await Promise.race([program.ended(), pause]);
  clearTimeout(timer);
  return ended;
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
