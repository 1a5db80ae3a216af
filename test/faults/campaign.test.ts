// Knocks on runs of one and of many machines; `npm run faults` knocks harder. Nothing finished may be lost.
import { execFileSync } from "node:child_process";
import { readFile, truncate, writeFile } from "node:fs/promises";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import { randomStream } from "../../pipelines/engine/index.js";
import { quantbench, temporary } from "../cli/quantbench.js";
import { Program } from "../benchmarks/machines/program.js";
import { describeWithRedis, RedisServer } from "../benchmarks/machines/redisServer.js";
import { Proxy } from "./proxy.js";
import { cellsOf, expectWhole, shortMatrix, Supervised, table, undisturbed } from "./scene.js";

/** How often something is killed in all, and the seed that decides what and when. */
const KILLS = Number(process.env["QUANTBENCH_KILLS"] ?? 6);
const SEED = Number(process.env["QUANTBENCH_KILL_SEED"] ?? 1);
const random = randomStream(SEED, "kills");
const TIMEOUT_MS = 180_000 + 15_000 * KILLS;

let matrix = "";
let expected = "";
beforeAll(async () => {
  matrix = await shortMatrix();
  expected = await undisturbed(matrix);
}, TIMEOUT_MS);

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});
const kept = <T>(thing: T, end: (thing: T) => unknown): T => {
  cleanups.push(() => end(thing));
  return thing;
};

/** What was finished before must be there after, to the byte. */
function expectNothingLost(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
) {
  for (const [name, checksum] of before) expect(after.get(name), name).toBe(checksum);
}

const pause = () => sleep(200 + random.integer(3000));

test(
  "a run on one machine that is killed again and again loses nothing",
  async () => {
    for (let kills = 0; kills < KILLS / 2;) {
      const out = await temporary();
      let before = new Map<string, string>();
      for (;;) {
        const run = kept(new Program(["run", matrix, "--out", out]), (program) => {
          program.killAll();
        });
        const ended = await Promise.race([run.ended(), pause()]);
        const after = await cellsOf(out);
        expectNothingLost(before, after);
        before = after;
        if (ended === 0) break;
        expect(ended, run.stderr).toBeUndefined();
        run.killAll();
        await run.ended();
        kills += 1;
        if (kills >= KILLS / 2) {
          const last = await quantbench(["run", matrix, "--out", out]);
          expect(last.code, last.stderr).toBe(0);
          break;
        }
      }
      expect(await table(out)).toBe(expected);
    }
  },
  TIMEOUT_MS,
);

describeWithRedis("many machines", () => {
  const worker = async (url: string, store: string, ...args: string[]) =>
    kept(
      await Supervised.start(async () => [
        ...["worker", "--queue", url, "--store", store, "--jobs", "1"],
        ...["--scratch", await temporary(), ...args],
      ]),
      ({ program }) => {
        program.killAll();
      },
    );
  const coordinator = async (url: string, store: string) =>
    kept(
      await Supervised.start(() => ["run", matrix, "--queue", url, "--store", store]),
      ({ program }) => {
        program.killAll();
      },
    );

  test(
    "whatever is killed, nothing is lost and the table is the same",
    async () => {
      for (let kills = 0; kills < KILLS / 2;) {
        const persistent = random.integer(2) === 1;
        const redis = kept(
          await RedisServer.start(...(persistent ? ["--appendonly", "yes"] : [])),
          (server) => server.kill(),
        );
        const store = await temporary();
        const run = await coordinator(redis.url, store);
        const workers = [await worker(redis.url, store), await worker(redis.url, store)];
        let before = new Map<string, string>();
        while ((await Promise.race([run.program.ended(), pause()])) !== 0) {
          if (kills >= KILLS) continue;
          const victim = workers[random.integer(2)];
          const what = random.integer(8);
          if (what < 3) await victim?.killAndRestart();
          else if (what < 5) victim?.killChild((count) => random.integer(Math.max(1, count)));
          else if (what < 7) await run.killAndRestart();
          else {
            await redis.kill();
            await redis.restart();
          }
          kills += 1;
          const after = await cellsOf(store);
          expectNothingLost(before, after);
          before = after;
        }
        expect(await table(store), run.program.stderr).toBe(expected);
        expectNothingLost(before, await cellsOf(store));
        await expectWhole(store);
        for (const { program } of workers) program.killAll();
        await redis.kill();
      }
    },
    TIMEOUT_MS,
  );

  test(
    "a network that is slow and cut, damaged files, two coordinators and a foreign worker change nothing",
    async () => {
      const redis = kept(await RedisServer.start("--appendonly", "yes"), (server) => server.kill());
      const proxy = kept(await Proxy.to(redis.port), (network) => {
        network.close();
      });
      const url = `redis://127.0.0.1:${String(proxy.port)}`;
      const store = await temporary();
      const first = await coordinator(url, store);
      const second = await coordinator(redis.url, store);
      const plugin = join(await temporary(), "other.mjs");
      await writeFile(plugin, "export default { algorithms: [] };\n");
      const foreign = kept(
        new Program(["worker", "--plugin", plugin, "--queue", redis.url, "--store", store]),
        (program) => {
          program.killAll();
        },
      );
      await vi.waitUntil(
        () => /takes no jobs of short-\w+: it is of version \S+, and this is/.test(foreign.stderr),
        {
          timeout: 60_000,
        },
      );
      await worker(url, store);
      await vi.waitUntil(() => filesOf(store, "stages").length > 0, { timeout: 120_000 });
      proxy.slow(300);
      await sleep(2000);
      proxy.slow(0);
      proxy.cut();
      await sleep(3000);
      proxy.mend();
      await vi.waitUntil(() => filesOf(store, "cells").length > 0, { timeout: 120_000 });
      const [stage = ""] = filesOf(store, "stages");
      const bytes = await readFile(stage);
      await writeFile(
        stage,
        bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte)),
      );
      const [cell = ""] = filesOf(store, "cells");
      await truncate(cell, 100);
      await worker(redis.url, store);
      expect(await first.program.ended(), first.program.stderr).toBe(0);
      expect(await second.program.ended(), second.program.stderr).toBe(0);
      // Those who had the result before it was damaged may have ended: the next run computes it again.
      const last = await quantbench(["run", matrix, "--queue", redis.url, "--store", store]);
      expect(last.code, last.stderr).toBe(0);
      expect(await table(store)).toBe(expected);
      expect(foreign.stderr).not.toContain("takes jobs");
    },
    TIMEOUT_MS,
  );

  test.skipIf(!canMount())(
    "a full disk is waited for",
    async () => {
      const redis = kept(await RedisServer.start(), (server) => server.kill());
      const store = await temporary();
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", store]);
      kept(store, () => execFileSync("umount", ["--lazy", store]));
      const run = await coordinator(redis.url, store);
      await vi.waitUntil(() => filesOf(store, "environments").length > 0, { timeout: 60_000 });
      const ballast = join(store, "ballast");
      await writeFile(ballast, Buffer.alloc(8e6)).catch(() => undefined); // as much as there is room
      const { program } = await worker(redis.url, store);
      await vi.waitUntil(() => /ENOSPC.*it is tried again in/.test(program.stderr), {
        timeout: 120_000,
      });
      await truncate(ballast, 0);
      expect(await run.program.ended(), run.program.stderr).toBe(0);
      expect(await table(store)).toBe(expected);
    },
    TIMEOUT_MS,
  );
});

const filesOf = (store: string, folder: string): string[] => {
  try {
    return readdirSync(join(store, folder)).map((name) => join(store, folder, name));
  } catch {
    return [];
  }
};

/** Only root can make a small disk. */
function canMount(): boolean {
  return process.platform === "linux" && process.getuid?.() === 0;
}
