import { execFile } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import os from "node:os";
import { join, resolve } from "node:path";

/** The real program, as built by `npm test`, in real processes on real files. */
export const MAIN = resolve("dist/benchmarks/main.js");

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export function quantbench(
  args: readonly string[],
  { main = MAIN, cwd = process.cwd(), env = {} } = {},
): Promise<Outcome> {
  return new Promise((done) => {
    execFile(
      process.execPath,
      [main, ...args],
      { cwd, env: { ...process.env, NO_COLOR: "1", ...env } },
      (error, stdout, stderr) => {
        done({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
      },
    );
  });
}

export const temporary = () => mkdtemp(join(os.tmpdir(), "quantbench-cli-"));
