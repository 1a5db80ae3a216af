import { execFileSync } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { writeOwnInputs } from "../../cli/ownInputs.js";
import { quantbench, temporary } from "../../cli/quantbench.js";
import { Program } from "./program.js";
import { describeWithRedis, freePort, RedisServer } from "./redisServer.js";
import { startS3 } from "./s3Server.js";

const table = (directory: string) => readFile(join(directory, "accuracy.csv"), "utf8");
const cellsIn = async (store: string) =>
  (await readdir(join(store, "cells")).catch(() => [])).filter((file) => file.endsWith(".json"));

/** A worker that was killed is missed after up to 50 s; other tests may run at the same time. */
const TIMEOUT_MS = 400_000;

describeWithRedis("a run on several machines", () => {
  let redis: RedisServer;
  const running: Program[] = [];
  const start = (...args: string[]) => {
    const program = new Program(args);
    running.push(program);
    return program;
  };
  let alone = "";
  beforeAll(async () => {
    redis = await RedisServer.start();
    alone = await temporary();
    const { code, stderr } = await quantbench(["run", "smoke", "--out", alone]);
    expect(code, stderr).toBe(0);
  }, TIMEOUT_MS);
  afterAll(async () => {
    for (const program of running) program.killAll();
    await redis.kill();
  });

  /** A worker with a cache of its own, as on another machine. */
  const worker = async (store: string, ...args: string[]) =>
    start(
      ...["worker", "--queue", redis.url, "--store", store, "--jobs", "1"],
      ...["--scratch", await temporary(), ...args],
    );

  test(
    "gives the same table, byte for byte, although a worker is killed and the coordinator away",
    async () => {
      const store = await temporary();
      const run = ["run", "smoke", "--queue", redis.url, "--store", store];
      const first = start(...run);
      const doomed = await worker(store);
      await vi.waitUntil(
        async () => (await readdir(join(store, "stages")).catch(() => [])).length > 0,
        {
          timeout: 200_000,
          interval: 50,
        },
      );
      doomed.killAll();
      first.killAll();
      const workers = [
        await worker(store, "--exit-when-done"),
        await worker(store, "--exit-when-done"),
      ];
      await vi.waitUntil(async () => (await cellsIn(store)).length > 0, {
        timeout: 200_000,
        interval: 50,
      });
      const status = await quantbench(["status", "--queue", redis.url]);
      expect(status.stdout).toMatch(/smoke-[0-9a-f]{12}: Smoke: does everything run\?/);
      expect(status.stdout).toMatch(/\d of 4 cells done/);
      const rendered = await quantbench(["report", store]);
      expect(rendered.code, rendered.stderr).toBe(0);
      const again = start(...run);
      expect(await again.ended(), again.stderr).toBe(0);
      for (const program of workers) expect(await program.ended(), program.stderr).toBe(0);
      expect(await table(store)).toBe(await table(alone));
      expect(await cellsIn(store)).toHaveLength(4);
      expect(await readdir(join(store, "models"))).toHaveLength(4);
      // Once more there is nothing to do, and no worker is needed.
      const third = await quantbench(run);
      expect(third.code, third.stderr).toBe(0);
      expect(third.stderr).toContain("4 of 4 cells have a result");
    },
    TIMEOUT_MS,
  );

  test(
    "own networks travel through a bucket, over TLS, and no password is told",
    async () => {
      const directory = await temporary();
      await writeOwnInputs(directory, await readFile("README.md", "utf8"));
      const [key, certificate] = ["key.pem", "certificate.pem"].map((name) =>
        join(directory, name),
      );
      execFileSync(
        "openssl",
        [
          ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=redis"],
          ...[
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            key ?? "",
            "-out",
            certificate ?? "",
          ],
        ],
        { stdio: "ignore" },
      );
      const port = String(await freePort());
      const user = ["cells", "on", ">pa55word", "resetchannels", ...RIGHTS];
      const secured = await RedisServer.start(
        ...["--tls-port", port, "--tls-cert-file", certificate ?? "", "--tls-key-file", key ?? ""],
        ...["--tls-auth-clients", "no", "--user", ...user],
      );
      const s3 = await startS3("runs");
      try {
        const env = {
          ...s3.environment,
          NODE_EXTRA_CA_CERTS: certificate,
          QUANTBENCH_QUEUE_PASSWORD: "pa55word",
        };
        const queue = ["--queue", `rediss://cells@127.0.0.1:${port}`];
        const store = ["--store", "s3://runs/own"];
        const images = join(directory, "images");
        const out = join(directory, "out");
        const run = new Program(
          [
            ...["run", "--model", join(directory, "net.onnx"), "--data", images, "--out", out],
            ...["--preprocessing", join(directory, "prepare.yaml"), "--only", "algorithm=minMax"],
            ...["--only", "backend=onnxruntime", ...queue, ...store],
          ],
          env,
        );
        running.push(run);
        const scratch = ["--scratch", await temporary()];
        const elsewhere = new Program(
          ["worker", ...queue, ...store, ...scratch, "--data", directory, "--jobs", "1"],
          env,
        );
        running.push(elsewhere);
        const helper = new Program(["worker", ...queue, ...store, ...scratch, "--jobs", "2"], env);
        running.push(helper);
        expect(await run.ended(), run.stderr + helper.stderr).toBe(0);
        expect(elsewhere.stderr).toMatch(/takes no jobs of ptq-\w+: /);
        const copy = join(directory, "copy");
        const report = await quantbench(["report", "s3://runs/own", "--out", copy], { env });
        expect(report.code, report.stderr).toBe(0);
        expect(await table(copy)).toBe(await table(out));
        expect(await table(copy)).toContain(",completed,");
        const wrong = { ...env, QUANTBENCH_QUEUE_PASSWORD: "wr0ng" };
        const refused = await quantbench(["status", ...queue], { env: wrong });
        expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("WRONGPASS")]);
        const named = ["--queue", `rediss://cells:pa55word@127.0.0.1:${port}`];
        const { NODE_EXTRA_CA_CERTS } = env;
        const status = await quantbench(["status", ...named], { env: { NODE_EXTRA_CA_CERTS } });
        expect(status.code, status.stderr).toBe(0);
        expect(status.stdout).toContain("there are no runs at rediss://cells:***@127.0.0.1");
        const told = [run, helper, elsewhere, report, refused, status];
        const texts = told.map(({ stdout, stderr }) => stdout + stderr);
        for (const folder of [copy, out])
          for (const file of await readdir(folder, { recursive: true }))
            if (/\.(json|html|js|csv|yaml|onnx)$/.test(file))
              texts.push(await readFile(join(folder, file), "latin1"));
        expect(texts.length).toBeGreaterThan(15);
        for (const secret of ["pa55word", "wr0ng", "S3RVER"])
          expect(texts.filter((text) => text.includes(secret))).toEqual([]);
      } finally {
        for (const program of running) program.killAll();
        await secured.kill();
        await s3.close();
      }
    },
    TIMEOUT_MS,
  );
});

/** What README says a user of the queue needs. */
const RIGHTS = ["~quantbench:*", "+@all", "-@dangerous", "+info"];
