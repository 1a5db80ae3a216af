// Random kills of runs on one and on many machines: nothing that was finished may be lost, and the table is the same.
import { beforeAll, describe, expect, test } from "vitest";
import { randomStream } from "../../pipelines/engine/index.js";
import { temporary } from "../cli/quantbench.js";
import { describeWithRedis } from "../benchmarks/machines/redisServer.js";
import {
  cellsOf,
  endOf,
  expectNothingLost,
  expectWhole,
  Scene,
  shortMatrix,
  table,
} from "./scene.js";

/** How often something is killed in all, and the seed that decides what and when. */
const KILLS = Number(process.env["QUANTBENCH_KILLS"] ?? 6);
const SEED = Number(process.env["QUANTBENCH_KILL_SEED"] ?? 1);
const HALF = Math.ceil(KILLS / 2);
const TIMEOUT_MS = 180_000 + 30_000 * KILLS;

let matrix = "";
let expected = "";
beforeAll(async () => {
  ({ matrix, expected } = await shortMatrix());
}, TIMEOUT_MS);

/** What was killed how often. */
class Tally {
  readonly #counts = new Map<string, number>();
  kills = 0;

  count(kind: string): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    this.kills += 1;
  }

  tell(where: string, tables: number): void {
    const kinds = [...this.#counts].map(([kind, count]) => `${String(count)} of ${kind}`);
    process.stdout.write(
      `${where}, seed ${String(SEED)}: ${String(this.kills)} kills (${kinds.join(", ")}), ${String(tables)} equal tables\n`,
    );
  }
}

/** Milliseconds until the next kill: most come soon, some let work get on. */
const pauseOf = (random: ReturnType<typeof randomStream>) => 50 + 5000 * random.uniform() ** 2;

describe.concurrent("killed at random", () => {
  test(
    "a run on one machine loses nothing",
    async ({ onTestFinished }) => {
      const scene = new Scene(matrix, onTestFinished);
      const random = randomStream(SEED, "kills on one machine");
      const tally = new Tally();
      let tables = 0;
      while (tally.kills < HALF) {
        const out = await temporary();
        const run = await scene.program(() => ["run", matrix, "--out", out]);
        let before = new Map<string, string>();
        for (;;) {
          const left = HALF - tally.kills;
          const ended = await endOf(run, left > 0 ? pauseOf(random) : TIMEOUT_MS);
          const after = await cellsOf(out);
          expectNothingLost(before, after);
          before = after;
          if (ended === 0) break;
          if (ended !== undefined) {
            // A cell whose process was killed twice has failed, until the same command comes again.
            expect([ended, run.program.stdout + run.program.stderr]).toEqual([
              1,
              expect.stringContaining("SIGKILL"),
            ]);
            await run.restart();
          } else if (random.integer(4) === 0) {
            if (run.killChild((count) => random.integer(Math.max(1, count))))
              tally.count("child processes");
          } else {
            await run.restart();
            tally.count("whole runs");
          }
        }
        expect(await table(out)).toBe(expected);
        tables += 1;
      }
      tally.tell("on one machine", tables);
    },
    TIMEOUT_MS,
  );

  describeWithRedis("many machines", () => {
    test(
      "whatever is killed, nothing is lost",
      async ({ onTestFinished }) => {
        const scene = new Scene(matrix, onTestFinished);
        const random = randomStream(SEED, "kills on many machines");
        const tally = new Tally();
        let tables = 0;
        while (tally.kills < HALF) {
          const persistent = random.integer(2) === 1;
          const redis = await scene.redis(...(persistent ? ["--appendonly", "yes"] : []));
          const store = await temporary();
          const run = await scene.coordinator(redis.url, store);
          const workers = [
            await scene.worker(redis.url, store),
            await scene.worker(redis.url, store),
          ];
          let before = new Map<string, string>();
          for (;;) {
            const left = HALF - tally.kills;
            const ended = await endOf(run, left > 0 ? pauseOf(random) : TIMEOUT_MS);
            const after = await cellsOf(store);
            expectNothingLost(before, after);
            before = after;
            if (ended === 0) break;
            if (ended !== undefined) {
              expect([ended, run.program.stdout + run.program.stderr]).toEqual([
                1,
                expect.stringMatching(/SIGKILL|lost again and again/),
              ]);
              await run.restart();
              continue;
            }
            const victim = workers[random.integer(2)];
            const what = random.integer(8);
            if (what < 3) {
              await victim?.restart();
              tally.count("workers");
            } else if (what < 5) {
              if (victim?.killChild((count) => random.integer(Math.max(1, count))))
                tally.count("child processes of workers");
            } else if (what < 7) {
              await run.restart();
              tally.count("coordinators");
            } else {
              await redis.kill();
              await redis.restart();
              tally.count(persistent ? "persistent Redis servers" : "forgetful Redis servers");
            }
          }
          expect(await table(store), run.program.stderr).toBe(expected);
          await expectWhole(store);
          tables += 1;
          for (const { program } of workers) program.killAll();
          await redis.kill();
        }
        tally.tell("on many machines", tables);
      },
      TIMEOUT_MS,
    );
  });
});
