import { mkdtemp, writeFile } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runJobs, type ScheduledJob } from "../../../benchmarks/running/scheduler.js";

const job = (id: string, after?: string): ScheduledJob => ({
  id,
  kind: "cells",
  cells: [],
  engine: "onnxruntime",
  lowering: "auto",
  threads: 1,
  runDirectory: "",
  dataset: "fashionMnist",
  dataDirectory: "",
  ...(after !== undefined && { after }),
});

/** Runs jobs with a worker program that behaves as the job's name says. */
async function schedule(
  jobs: ScheduledJob[],
  { parallel = 2, abortAfterMs = 0, silenceMs = 2000 } = {},
) {
  const directory = await mkdtemp(join(os.tmpdir(), "quantbench-worker-"));
  const workerFile = join(directory, "worker.mjs");
  await writeFile(
    workerFile,
    `import { existsSync, writeFileSync } from "node:fs";
     const mark = import.meta.filename + ".mark";
     process.on("disconnect", () => process.exit(0));
     process.on("message", ({ id, cells }) => {
       const done = (takesMore = false) => process.send({ type: "done", takesMore });
       if (id.startsWith("again")) { process.send({ type: "finished", cellId: String(process.pid), state: "completed" }); done(true); }
       if (id.startsWith("good")) { process.send({ type: "finished", cellId: id, state: "completed" }); done(); }
       if (id.startsWith("slow")) setTimeout(done, 300);
       if (id.startsWith("error")) process.send({ type: "error", message: "went wrong" }, () => process.disconnect());
       if (id.startsWith("exit")) process.exit(7);
       if (id.startsWith("abort")) process.abort();
       if (id.startsWith("kill")) process.kill(process.pid, "SIGKILL");
       if (id.startsWith("once")) {
         const killed = existsSync(mark);
         writeFileSync(mark, "");
         if (killed) process.send({ type: "finished", cellId: cells.map((cell) => cell.id).join(), state: "completed" }, () => done());
         else process.send({ type: "finished", cellId: "1", state: "completed" }, () => process.kill(process.pid, "SIGKILL"));
       }
       if (id.startsWith("hang")) for (;;);
       const asleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
       if (id.startsWith("asleep")) asleep(60_000);
       if (id.startsWith("starved")) {
         for (const start = performance.now(); performance.now() - start < 6000; asleep(180))
           for (const burst = performance.now(); performance.now() - burst < 20;);
         done();
       }
     });`,
  );
  const ended = new Map<string, string | undefined>();
  const events: string[] = [];
  const notes: string[] = [];
  const controller = new AbortController();
  if (abortAfterMs > 0)
    setTimeout(() => {
      controller.abort();
    }, abortAfterMs);
  await runJobs(
    jobs,
    {
      onStart: ({ id }) => events.push(`start ${id}`),
      onProgress: () => undefined,
      onNote: (text) => notes.push(text),
      onCell: (_, { cellId }) => events.push(`cell ${cellId}`),
      onEnd: ({ id }, failure) => {
        events.push(`end ${id}`);
        ended.set(id, failure);
        return Promise.resolve();
      },
    },
    { parallel, silenceMs, signal: controller.signal, workerFile },
  );
  return { ended, events, notes };
}

test("what crashes, hangs or is killed fails alone, with its reason", async () => {
  const ids = ["error", "exit", "abort", "kill", "hang", "good"];
  const { ended } = await schedule(ids.map((id) => job(id)));
  expect(ended.get("error")).toBe("went wrong");
  expect(ended.get("exit")).toMatch(/ended with exit code 7/);
  expect(ended.get("abort")).toMatch(/ended by SIGABRT/);
  expect(ended.get("kill")).toMatch(/ended by SIGKILL, probably for lack of memory/);
  expect(ended.get("hang")).toMatch(/said nothing for 2 seconds and was killed/);
  expect(ended.has("good")).toBe(true);
  expect(ended.get("good")).toBeUndefined();
});

test("a job whose process is killed is tried once more, without the cells that are finished", async () => {
  const cells = ["1", "2", "3"].map((id) => ({ id }) as ScheduledJob["cells"][number]);
  const { ended, events, notes } = await schedule([
    { ...job("once"), cells },
    job("good after", "once"),
  ]);
  expect(events.filter((event) => event.startsWith("cell"))).toEqual([
    "cell 1",
    "cell 2,3",
    "cell good after",
  ]);
  expect([...ended.values()]).toEqual([undefined, undefined]);
  expect(notes).toEqual([expect.stringMatching(/ended by SIGKILL.*; its work is tried once more/)]);
});

test("a process that a busy machine lets compute little is not taken to hang, one that only waits is", async () => {
  const { ended } = await schedule([job("starved"), job("asleep")]);
  expect(ended.get("asleep")).toMatch(/said nothing for 2 seconds and was killed/);
  if (process.platform === "linux") expect(ended.get("starved")).toBeUndefined();
});

test("a limit that no timer holds kills nobody", async () => {
  const { ended } = await schedule([job("slow")], { silenceMs: 3e9 });
  expect([...ended]).toEqual([["slow", undefined]]);
});

test("a process that is well runs the next job too, and is gone in the end", async () => {
  const ids = ["again 1", "again 2", "good 3", "again 4", "again 5"];
  const { events } = await schedule(
    ids.map((id) => job(id)),
    { parallel: 1 },
  );
  const pids = events.filter((event) => event.startsWith("cell")).map((event) => event.slice(5));
  expect(pids[0]).toBe(pids[1]);
  expect(pids[3]).toBe(pids[4]);
  expect(pids[3]).not.toBe(pids[0]); // the third did not take more
  for (const pid of [pids[0], pids[4]]) {
    await expect.poll(() => isAlive(Number(pid)), { timeout: 5000 }).toBe(false);
  }
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("a job waits for its predecessor, and fails with its reason", async () => {
  const jobs = [job("good b", "slow a"), job("slow a"), job("good d", "error c"), job("error c")];
  const { ended, events } = await schedule(jobs);
  expect(events.indexOf("start good b")).toBeGreaterThan(events.indexOf("end slow a"));
  expect(ended.get("good b")).toBeUndefined();
  expect(ended.get("good d")).toBe("went wrong");
  expect(events).not.toContain("start good d");
});

test("no more jobs run at a time than asked for", async () => {
  const { events } = await schedule([job("slow 1"), job("slow 2"), job("slow 3")], { parallel: 1 });
  expect(events).toEqual([
    "start slow 1",
    "end slow 1",
    "start slow 2",
    "end slow 2",
    "start slow 3",
    "end slow 3",
  ]);
});

test("an abort kills what runs, starts nothing new and ends soon", async () => {
  const started = performance.now();
  const { ended, events } = await schedule([job("hang 1"), job("good 2")], {
    parallel: 1,
    abortAfterMs: 300,
    silenceMs: 60000,
  });
  expect(performance.now() - started).toBeLessThan(10000);
  expect(events).toEqual(["start hang 1"]);
  expect(ended.size).toBe(0);
});
