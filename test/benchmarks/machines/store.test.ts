import { mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { DirectoryStore } from "../../../benchmarks/machines/directoryStore.js";
import { openStore } from "../../../benchmarks/machines/openStore.js";
import { publishFile, publishResult, readResult } from "../../../benchmarks/machines/results.js";
import { S3Store } from "../../../benchmarks/machines/s3Store.js";
import { identityOf, type Store } from "../../../benchmarks/machines/store.js";
import type { CellResult } from "../../../results/schema.js";
import { cellName } from "../../../results/store.js";
import { completedCell, failedCell } from "../../results/examples.js";
import { startS3 } from "./s3Server.js";

const temporary = () => mkdtemp(join(os.tmpdir(), "quantbench-store-"));
const bytesOf = (text: string) => Buffer.from(text);
const s3 = await startS3("results");
afterAll(() => s3.close());
let prefixes = 0;

const kinds: readonly (readonly [string, () => Promise<Store>])[] = [
  ["a directory", async () => new DirectoryStore(await temporary())],
  [
    "an S3 bucket",
    () => Promise.resolve(new S3Store(`s3://results/run-${String(prefixes++)}`, s3.environment)),
  ],
];

describe.each(kinds)("%s as a store", (_, open) => {
  test("has what was written, once, with who wrote it", async () => {
    const store = await open();
    await store.check();
    expect(await store.get("cells/a.json")).toBeUndefined();
    expect(await store.list("cells")).toEqual([]);
    expect(await store.add("cells/a.json", bytesOf("first"), "machine1")).toBe(true);
    expect(await store.add("cells/a.json", bytesOf("second"), "machine2")).toBe(false);
    const found = await store.get("cells/a.json");
    if (found === undefined || "broken" in found) throw new Error("it is not there");
    expect(Buffer.from(found.bytes).toString()).toBe("first");
    expect(found.origin).toBe("machine1");
    await store.replace("cells/a.json", bytesOf("third"), "machine3");
    await store.add("cells/b+1.json", bytesOf(""), "machine1");
    expect((await store.list("cells")).toSorted()).toEqual(["a.json", "b+1.json"]);
    await store.remove("cells/a.json");
    await store.remove("cells/never.json");
    expect(await store.get("cells/a.json")).toBeUndefined();
    expect(await store.add("cells/a.json", bytesOf("fourth"), "machine1")).toBe(true);
  });

  test("takes no name that leads elsewhere", async () => {
    const store = await open();
    for (const key of [
      "../x",
      "cells/../../x",
      "/x",
      "cells//x",
      "cells/.",
      "a\0b",
      "cells/a\nb",
      "",
    ])
      await expect(store.add(key, bytesOf(""), "m"), key).rejects.toThrow(/no name that a store/);
  });

  test("is the same one for everybody", async () => {
    const store = await open();
    const ids = await Promise.all(["a", "b", "c"].map((fresh) => identityOf(store, fresh)));
    expect(new Set(ids)).toEqual(new Set([await identityOf(store, "d")]));
    expect(await identityOf(await open(), "e")).not.toBe(ids[0]);
  });

  test("keeps the first result, and compares others with it", async () => {
    const store = await open();
    const notes: string[] = [];
    const publish = (result: CellResult, origin = "one") =>
      publishResult(store, { result, bytes: bytesOf(JSON.stringify(result)), origin }, (text) =>
        notes.push(text),
      );
    const cell = completedCell();
    const failed: CellResult = { ...failedCell("killed"), id: cell.id, config: cell.config };
    expect(await publish(failed)).toBe("first");
    expect(await publish(cell)).toBe("first"); // what failed gives way
    expect(await publish(failed)).toBe("equal"); // and never comes back
    const slower = { ...cell.measured, seconds: { "float training": 99 } };
    expect(await publish({ ...cell, measured: slower }, "two")).toBe("equal");
    expect(notes).toEqual([]);
    expect(await publish({ ...cell, weightHash: "other" }, "two")).toBe("different");
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(/DIFFERENT RESULTS .*weightHash differ between .*one.* and .*two/);
    expect(await store.list("disputes")).toHaveLength(1);
    const kept = await readResult(store, `cells/${cellName(cell)}.json`, () => undefined);
    expect(kept?.result).toEqual(cell);
  });
});

describe("a directory", () => {
  test("tells what was changed, cut or never written by a store, and computes it again", async () => {
    const path = await temporary();
    const store = new DirectoryStore(path);
    const file = join(path, "stages", "float.safetensors");
    const source = join(await temporary(), "float");
    await writeFile(source, "weights");
    const notes: string[] = [];
    const publish = () =>
      publishFile(store, { key: "stages/float.safetensors", path: source, origin: "m" }, (text) =>
        notes.push(text),
      );
    expect(await publish()).toBe("first");
    for (const damage of [
      () => writeFile(file, "weightz"),
      () => truncate(file, 3),
      () => truncate(file, 0),
    ]) {
      await damage();
      expect(await store.get("stages/float.safetensors")).toEqual({
        broken: "does not have the checksum that it was written with",
      });
      expect(await publish()).toBe("first");
      expect(await readFile(file, "utf8")).toBe("weights");
    }
    expect(notes).toHaveLength(3);
    expect(await publish()).toBe("equal");
    await writeFile(source, "others!");
    expect(await publish()).toBe("different");
    expect(await readFile(file, "utf8")).toBe("weights");
  });

  test("has one first writer among many, and no half files", async () => {
    const path = await temporary();
    const writers = Array.from({ length: 20 }, (_, i) =>
      new DirectoryStore(path).add("cells/a.json", bytesOf("x".repeat(1e5) + String(i)), "m"),
    );
    expect((await Promise.all(writers)).filter((first) => first)).toHaveLength(1);
    expect(await readdir(join(path, "incoming"))).toEqual([]);
    expect(await new DirectoryStore(path).get("cells/a.json")).toHaveProperty("bytes");
  });

  test("loses what killed writers left behind, after a day", async () => {
    const path = await temporary();
    const store = new DirectoryStore(path);
    await store.check();
    const old = new Date(Date.now() - 2 * 24 * 3600 * 1000);
    await writeFile(join(path, "incoming", "old"), "");
    await utimes(join(path, "incoming", "old"), old, old);
    await writeFile(join(path, "incoming", "new"), "");
    await store.check();
    expect(await readdir(join(path, "incoming"))).toEqual(["new"]);
  });

  test("must be one", async () => {
    const path = join(await temporary(), "file");
    await writeFile(path, "");
    await expect(new DirectoryStore(path).check()).rejects.toThrow(/must be a directory that/);
    expect(() => openStore("http://example.org")).toThrow(/must be a directory or s3:/);
    await rm(path);
  });
});

describe("S3", () => {
  test("is not entered with other credentials, which no message repeats", async () => {
    const environment = { ...s3.environment, AWS_SECRET_ACCESS_KEY: "s3cr3t" };
    const store = new S3Store("s3://results/x", environment);
    const failure = await store.get("cells/a").catch((error: unknown) => error as Error);
    expect(failure).toBeInstanceOf(Error);
    expect((failure as Error).message).toMatch(/s3:\/\/results\/x.*SignatureDoesNotMatch \(403\)/);
    expect(JSON.stringify(failure, Object.getOwnPropertyNames(failure))).not.toContain("s3cr3t");
    expect(() => new S3Store("s3://results/x", {})).toThrow(/AWS_ACCESS_KEY_ID is not set/);
    expect(() => new S3Store("s3://Results_/x", environment)).toThrow(/s3:\/\/BUCKET\/PREFIX/);
  });

  test("lists more objects than one answer holds", async () => {
    const store = new S3Store("s3://results/many", s3.environment, 4);
    const names = Array.from({ length: 17 }, (_, i) => `cell+ ${String(i)}.json`);
    for (const name of names) await store.replace(`cells/${name}`, bytesOf("x"), "m");
    expect((await store.list("cells")).toSorted()).toEqual(names.toSorted());
  });
});
