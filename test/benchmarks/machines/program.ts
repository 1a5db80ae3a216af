import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { MAIN } from "../../cli/quantbench.js";

/** The program at work in a process group of its own, so that all of it can be killed. */
export class Program {
  readonly #child: ChildProcess;
  stdout = "";
  stderr = "";
  readonly #ended: Promise<unknown>;

  /** @param under a program that runs it, with its arguments, such as strace */
  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}, under: readonly string[] = []) {
    const [command = "", ...words] = [...under, process.execPath, MAIN, ...args];
    const child = spawn(command, words, {
      detached: true,
      env: { ...process.env, NO_COLOR: "1", ...env },
    });
    child.stdout.on("data", (chunk: Buffer) => (this.stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.#child = child;
    this.#ended = once(child, "close");
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The exit code; null where a signal ended it. */
  async ended(): Promise<number | null> {
    await this.#ended;
    return this.#child.exitCode;
  }

  /** The program alone. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** With everything that it has started, as a machine that loses power. */
  killAll(signal: NodeJS.Signals = "SIGKILL"): void {
    const { pid, exitCode } = this.#child;
    if (pid === undefined || exitCode !== null) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it is gone already
    }
  }
}
