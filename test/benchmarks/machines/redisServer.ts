import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp } from "node:fs/promises";
import { createServer } from "node:net";
import os from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";

/** Why there is no Redis server to test with. */
function reasonWithoutRedis(): string | undefined {
  if (process.env["QUANTBENCH_WITHOUT_REDIS"] !== undefined)
    return "QUANTBENCH_WITHOUT_REDIS is set";
  try {
    execFileSync("redis-server", ["--version"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "redis-server is not installed (Debian: apt install redis-server)";
  }
}

const reason = reasonWithoutRedis();
const absenceIsMeant =
  process.env["CI"] === undefined || process.env["QUANTBENCH_WITHOUT_REDIS"] !== undefined;

/** Tests with a Redis server; where there is none, the reason, which in CI fails unless it is meant. */
export function describeWithRedis(title: string, tests: () => void): void {
  if (reason === undefined) describe(title, tests);
  else
    test(title, ({ skip }) => {
      skip(absenceIsMeant, reason);
      expect.fail(`${reason}; to go on without, set QUANTBENCH_WITHOUT_REDIS=1`);
    });
}

/**
 * A port that nobody listens at, below those that systems give to outgoing connections: otherwise a client
 * that tries to reach a server which is down can be given that server's own port, and hold it.
 */
export async function freePort(): Promise<number> {
  const server = createServer();
  for (;;) {
    const port = 20_000 + Math.floor(12_000 * Math.random());
    server.listen(port, "127.0.0.1");
    const isFree = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

/** A real Redis server of a test's own. */
export class RedisServer {
  readonly port: number;
  readonly #directory: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(port: number, directory: string, args: readonly string[]) {
    this.port = port;
    this.#directory = directory;
    this.#args = args;
  }

  /** @param args options as redis-server takes them; it keeps nothing on disk unless they say so */
  static async start(...args: readonly string[]): Promise<RedisServer> {
    const directory = await mkdtemp(join(os.tmpdir(), "quantbench-redis-"));
    const server = new RedisServer(await freePort(), directory, args);
    await server.restart();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${String(this.port)}`;
  }

  async restart(): Promise<void> {
    const common = ["--bind", "127.0.0.1", "--port", String(this.port), "--save", ""];
    const child = spawn("redis-server", [...common, "--dir", this.#directory, ...this.#args]);
    this.#process = child;
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    for (let i = 0; !said.includes("Ready to accept connections"); i++) {
      if (i > 200 || child.exitCode !== null)
        throw new Error(`redis-server did not start: ${said}`);
      await sleep(50);
    }
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#process;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }
}
