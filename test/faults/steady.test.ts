// Real matrices, with a worker killed every 20 seconds: minutes, so that only `npm run faults` does it.
import { expect, test } from "vitest";
import { quantbench, temporary } from "../cli/quantbench.js";
import { describeWithRedis } from "../benchmarks/machines/redisServer.js";
import { endOf, expectWhole, Scene, table } from "./scene.js";

const KILLS = Number(process.env["QUANTBENCH_KILLS"] ?? 0);
const EVERY_MS = 20_000;
const MATRICES: readonly (readonly string[])[] = [
  ["smoke"],
  ["quick", "--only", "algorithm=minMax,lsq", "--only", "backend=academic"],
];

describeWithRedis("two workers, of which one is killed every 20 seconds", () => {
  test.skipIf(KILLS < 100).each(MATRICES)(
    "have the table of a run without a queue: %s %s %s",
    async (...matrix) => {
      const alone = await temporary();
      const { code, stderr } = await quantbench(["run", ...matrix, "--out", alone]);
      expect(code, stderr).toBe(0);
      let kills = 0;
      // As the tests of vitest have no context here, programs end with the scene.
      const ends: (() => Promise<void>)[] = [];
      const scene = new Scene("", (end) => ends.push(end));
      try {
        const redis = await scene.redis();
        const store = await temporary();
        const meeting = ["--queue", redis.url, "--store", store];
        const run = await scene.program(() => ["run", ...matrix, ...meeting]);
        const workers = [
          await scene.worker(redis.url, store),
          await scene.worker(redis.url, store),
        ];
        for (;;) {
          const ended = await endOf(run, EVERY_MS);
          if (ended !== undefined) {
            expect(ended, run.program.stderr).toBe(0);
            break;
          }
          await workers[kills % 2]?.restart();
          kills += 1;
        }
        expect(await table(store)).toBe(await table(alone));
        await expectWhole(store);
        process.stdout.write(`${matrix.join(" ")}: ${String(kills)} kills, an equal table\n`);
      } finally {
        for (const end of ends) await end();
      }
    },
    3_600_000,
  );
});
