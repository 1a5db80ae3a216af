import { mkdtemp, readFile, rename, writeFile } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { storedOnce } from "../../../benchmarks/cell/index.js";
import { float32 } from "../../../pipelines/engine/index.js";
import { RunDirectory } from "../../../results/store.js";

const checkpoint = {
  tensors: {
    kernel: float32(
      Float32Array.from({ length: 100 }, (_, i) => i / 7),
      [10, 10],
    ),
  },
  losses: Float32Array.of(2, 1),
  accuracies: Float32Array.of(0.5, 0.75),
  accuracy: 0.75,
  correct: "Dw==",
  bits: new Map([["kernel", 4]]),
};

let directory: RunDirectory;
let notes: string[];
beforeEach(async () => {
  directory = new RunDirectory(await mkdtemp(join(os.tmpdir(), "quantbench-stages-")));
  await directory.create();
  notes = [];
});

/** The stage, and whether it was computed. */
async function stage(key: string) {
  let computed = false;
  const context = { directory, onNote: (text: string) => void notes.push(text) };
  const result = await storedOnce(context, key, () => {
    computed = true;
    return Promise.resolve(checkpoint);
  });
  return { result, computed };
}

describe("a stored stage", () => {
  test("is computed once", async () => {
    expect(await stage("float-a")).toEqual({ result: checkpoint, computed: true });
    expect(await stage("float-a")).toEqual({ result: checkpoint, computed: false });
    expect(notes).toEqual([]);
  });

  test.each([
    ["one bit is another", (file: Buffer) => file.fill(1, file.length - 1), /checksum/],
    ["it is cut off", (file: Buffer) => file.subarray(0, -8), /checksum/],
    ["it is empty", (file: Buffer) => file.subarray(0, 0), /truncated/],
    ["it lacks its checksum", withoutChecksum, /has no checksum/],
  ])("is computed again where %s, and said", async (_, damage, reason) => {
    await stage("float-a");
    const file = directory.stageFile("float-a");
    await writeFile(file, damage(await readFile(file)));
    expect(await stage("float-a")).toEqual({ result: checkpoint, computed: true });
    expect(notes).toEqual([expect.stringMatching(reason)]);
    expect(notes[0]).toContain(file);
    expect(await stage("float-a")).toEqual({ result: checkpoint, computed: false });
  });

  test("is not taken for another one", async () => {
    await stage("float-a");
    await rename(directory.stageFile("float-a"), directory.stageFile("float-b"));
    expect(await stage("float-b")).toEqual({ result: checkpoint, computed: true });
    expect(notes).toEqual([expect.stringMatching(/it is the stage float-a;/)]);
  });
});

/** As earlier versions wrote them. */
function withoutChecksum(file: Buffer): Buffer {
  return Buffer.from(file.toString("latin1").replace('"sha256"', '"sha000"'), "latin1");
}
