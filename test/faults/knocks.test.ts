// What networks, disks, clocks and other people do to a run on many machines: the table is the same.
import { execFileSync } from "node:child_process";
import { readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { beforeAll, expect, test, vi } from "vitest";
import { quantbench, temporary } from "../cli/quantbench.js";
import { describeWithRedis } from "../benchmarks/machines/redisServer.js";
import { startS3 } from "../benchmarks/machines/s3Server.js";
import { expectWhole, filesOf, Scene, shortMatrix, table } from "./scene.js";

const TIMEOUT_MS = 400_000;
const SMALL_DISK = ["-t", "tmpfs", "-o", "size=4m", "tmpfs"];

/** Why something cannot be done here, if so: a debugger is missing, or the right to make a disk. */
const missing = {
  strace: reasonWithout("strace", ["-e", "inject=fsync:delay_exit=1", "true"]),
  mount: await reasonWithoutDisks(),
};

function reasonWithout(program: string, args: readonly string[]): string | undefined {
  try {
    execFileSync(program, args, { stdio: "ignore" });
    return undefined;
  } catch (error) {
    return `${program} does not work here: ${(error as Error).message}`;
  }
}

async function reasonWithoutDisks(): Promise<string | undefined> {
  const directory = await temporary();
  const reason = reasonWithout("mount", [...SMALL_DISK, directory]);
  if (reason === undefined) execFileSync("umount", ["--lazy", directory]);
  return reason;
}

const told = (reason: string | undefined) =>
  reason === undefined ? "" : ` (not tested: ${reason})`;

let matrix = "";
let expected = "";
beforeAll(async () => {
  ({ matrix, expected } = await shortMatrix());
}, TIMEOUT_MS);

describeWithRedis("a run on many machines", () => {
  test.concurrent(
    "bears a network that is slow and cut, clocks that jump, two coordinators, a foreign worker, damaged files",
    async ({ onTestFinished }) => {
      const scene = new Scene(matrix, onTestFinished);
      const redis = await scene.redis("--appendonly", "yes");
      const proxy = await scene.proxy(redis.port);
      const url = `redis://127.0.0.1:${String(proxy.port)}`;
      const store = await temporary();
      const clock = pathToFileURL("test/faults/jumpingClock.mjs").href;
      const env = { NODE_OPTIONS: `--import ${clock}` };
      const first = await scene.coordinator(url, store, { env });
      const second = await scene.coordinator(redis.url, store);
      const plugin = join(await temporary(), "other.mjs");
      await writeFile(plugin, "export default { algorithms: [] };\n");
      const { program: foreign } = await scene.program(() => [
        ...["worker", "--plugin", plugin, "--queue", redis.url, "--store", store],
      ]);
      await vi.waitUntil(
        () => /takes no jobs of short-\w+: it is of version \S+, and this is/.test(foreign.stderr),
        { timeout: 60_000 },
      );
      await scene.worker(url, store, { env });
      await vi.waitUntil(() => filesOf(store, "stages").length > 0, { timeout: 200_000 });
      proxy.slow(300);
      await sleep(2000);
      proxy.slow(0);
      proxy.cut();
      await sleep(3000);
      proxy.mend();
      await vi.waitUntil(() => filesOf(store, "cells").length > 0, { timeout: 200_000 });
      const [stage = ""] = filesOf(store, "stages");
      const bytes = await readFile(stage);
      await writeFile(
        stage,
        bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte)),
      );
      const [cell = ""] = filesOf(store, "cells");
      await truncate(cell, 100);
      await scene.worker(redis.url, store);
      for (const { program } of [first, second])
        expect(await program.ended(), program.stderr).toBe(0);
      // Those who had the result before it was damaged may have ended: the next run computes it again.
      const last = await quantbench(["run", matrix, "--queue", redis.url, "--store", store]);
      expect(last.code, last.stderr).toBe(0);
      expect(await table(store)).toBe(expected);
      expect(foreign.stderr).not.toContain("takes jobs");
    },
    TIMEOUT_MS,
  );

  test.concurrent(
    "bears a bucket behind a line that is slow and cut",
    async ({ onTestFinished }) => {
      const scene = new Scene(matrix, onTestFinished);
      const redis = await scene.redis();
      const s3 = await startS3("runs");
      onTestFinished(async () => {
        await s3.close();
      });
      const line = await scene.proxy(Number(new URL(s3.environment.AWS_ENDPOINT_URL).port));
      const url = `http://127.0.0.1:${String(line.port)}`;
      const env = { ...s3.environment, AWS_ENDPOINT_URL: url };
      const store = "s3://runs/short";
      const out = await temporary();
      line.slow(100);
      const more = ["--out", out];
      const { program } = await scene.coordinator(redis.url, store, { more, env });
      await scene.worker(redis.url, store, { env });
      await vi.waitUntil(() => filesOf(out, "cells").length > 0, { timeout: 200_000 });
      line.cut();
      await sleep(3000);
      line.mend();
      expect(await program.ended(), program.stderr).toBe(0);
      expect(await table(out)).toBe(expected);
    },
    TIMEOUT_MS,
  );

  const strace = ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync"];
  const delayed = [...strace, "-e", "inject=fsync:delay_exit=500000"];
  test.skipIf(missing.strace !== undefined)(
    `waits for a disk that needs half a second for each file${told(missing.strace)}`,
    { concurrent: true, timeout: TIMEOUT_MS },
    async ({ onTestFinished }) => {
      const scene = new Scene(matrix, onTestFinished);
      const redis = await scene.redis();
      const store = await temporary();
      const { program } = await scene.coordinator(redis.url, store);
      await scene.worker(redis.url, store, { under: delayed });
      expect(await program.ended(), program.stderr).toBe(0);
      expect(await table(store)).toBe(expected);
      await expectWhole(store);
    },
  );

  test.skipIf(missing.mount !== undefined)(
    `waits for room on a full disk${told(missing.mount)}`,
    { concurrent: true, timeout: TIMEOUT_MS },
    async ({ onTestFinished }) => {
      const scene = new Scene(matrix, onTestFinished);
      const redis = await scene.redis();
      const store = await temporary();
      execFileSync("mount", [...SMALL_DISK, store]);
      onTestFinished(() => {
        execFileSync("umount", ["--lazy", store]);
      });
      const run = await scene.coordinator(redis.url, store);
      await vi.waitUntil(() => filesOf(store, "environments").length > 0, { timeout: 60_000 });
      const ballast = join(store, "ballast");
      await writeFile(ballast, Buffer.alloc(8e6)).catch(() => undefined); // as much as there is room
      const { program } = await scene.worker(redis.url, store);
      await vi.waitUntil(() => /ENOSPC.*it is tried again in/.test(program.stderr), {
        timeout: 200_000,
      });
      await truncate(ballast, 0);
      expect(await run.program.ended(), run.program.stderr).toBe(0);
      expect(await table(store)).toBe(expected);
    },
  );
});
