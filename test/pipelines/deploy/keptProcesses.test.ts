import { expect, test } from "vitest";
import { EndedBySignal, withProcess } from "../../../pipelines/deploy/runtimes/keptProcesses.js";
import { findRuntime } from "../../../pipelines/deploy/runtimes/index.js";
import type { Dataset } from "../../../pipelines/train/index.js";

const dataset = { name: "one" } as Dataset;
const runtime = findRuntime("onnxruntime");

/** Starts processes that do nothing, and counts them. */
function starter(name: string) {
  const started: { alive: boolean }[] = [];
  const run = (
    work: (process: number) => Promise<string>,
    { bytes = 100, on = dataset }: { bytes?: number; on?: Dataset } = {},
  ) =>
    withProcess(
      { ...runtime, name },
      { bytes: new Uint8Array(bytes) },
      {
        dataset: on,
        start() {
          const state = { alive: true };
          started.push(state);
          return Promise.resolve({
            ask: () => Promise.reject(new Error("nothing is asked here")),
            isAlive: () => state.alive,
            stop: () => (state.alive = false),
          });
        },
        work: () => work(started.length),
      },
    );
  return { started, run };
}
const done = () => Promise.resolve("done");

test("one process runs model after model", async () => {
  const { started, run } = starter("a");
  for (let i = 0; i < 3; i++) expect(await run(done)).toBe("done");
  expect(started).toEqual([{ alive: true }]);
});

test("another data set, a much smaller model or a dead process start a new one", async () => {
  const { started, run } = starter("b");
  await run(done);
  await run(done, { on: { name: "two" } as Dataset });
  expect(started).toEqual([{ alive: false }, { alive: true }]);
  await run(done, { bytes: 1000, on: { name: "two" } as Dataset });
  expect(started).toHaveLength(3); // never the same data set, even if it looks alike
  const [, , third] = started;
  if (third !== undefined) third.alive = false;
  await run(done, { bytes: 1000 });
  expect(started).toHaveLength(4);
  await run(done, { bytes: 400 });
  expect(started).toHaveLength(5);
  await run(done, { bytes: 600 });
  expect(started).toHaveLength(5);
});

test("what fails in a used process is tried in a new one; only there it fails by itself", async () => {
  const { started, run } = starter("c");
  await run(done);
  const failing = (process: number) =>
    process === 1 ? Promise.reject(new Error("left behind")) : Promise.resolve("fine");
  expect(await run(failing)).toBe("fine");
  expect(started).toEqual([{ alive: false }, { alive: true }]);
  await expect(run(() => Promise.reject(new Error("its own")))).rejects.toThrow("its own");
  expect(started).toEqual([{ alive: false }, { alive: false }, { alive: false }]);
  expect(await run(done)).toBe("done");
  expect(started).toHaveLength(4);
});

test("after a process that a signal ended a new one tries once more", async () => {
  const { started, run } = starter("f");
  const killed = (times: number) => (process: number) =>
    process <= times ? Promise.reject(new EndedBySignal("SIGKILL")) : Promise.resolve("fine");
  expect(await run(killed(1))).toBe("fine");
  expect(started).toEqual([{ alive: false }, { alive: true }]);
  await expect(run(killed(9), { bytes: 1 })).rejects.toThrow("SIGKILL");
  expect(started.map(({ alive }) => alive)).toEqual([false, false, false, false]);
});

test("a large model's process does not wait for another", async () => {
  const { started, run } = starter("e");
  await run(done, { bytes: 2 ** 23 + 1 });
  expect(started).toEqual([{ alive: false }]);
});

test("two at a time have a process each", async () => {
  const { started, run } = starter("d");
  await Promise.all([run(done), run(done)]);
  expect(started).toEqual([{ alive: true }, { alive: false }]); // one of them waits for more
});
