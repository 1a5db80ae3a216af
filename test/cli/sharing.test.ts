import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { basename, join } from "node:path";
import { strFromU8, unzipSync } from "fflate";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { CellResult } from "../../results/schema.js";
import { RunDirectory } from "../../results/store.js";
import { completedCell, exampleEnvironment, failedCell } from "../results/examples.js";
import { MAIN, quantbench, temporary } from "./quantbench.js";

/** A run directory with these results. */
async function stored(results: readonly CellResult[], cells = results): Promise<string> {
  const directory = new RunDirectory(await temporary());
  await directory.create();
  for (const result of results) await directory.writeCell(result);
  await directory.writeEnvironment(exampleEnvironment);
  await directory.writeRun({
    ...{ name: "shared", title: "Shared", command: "quantbench run shared" },
    ...{ deviations: {}, notes: {}, cells: cells.map(({ id }) => id) },
  });
  return directory.path;
}
const seeds = [0, 1, 2].map((seed) => completedCell({ seed }, 0.8 + seed / 100));
const [zero = completedCell(), one = completedCell(), two = completedCell()] = seeds;

describe("merge", () => {
  const merge = (out: string, ...runs: string[]) => quantbench(["merge", ...runs, "--out", out]);

  test("puts seeds of several machines together, in the order of the matrix", async () => {
    const [a, b] = [await stored([two, zero], seeds), await stored([one, two], seeds)];
    await writeFile(join(b, "models", "x.onnx"), "network");
    await writeFile(
      join(b, "environment.json"),
      JSON.stringify({ ...exampleEnvironment, cpu: "Other" }),
    );
    const out = join(await temporary(), "merged");
    const { code, stdout, stderr } = await merge(out, a, b);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/81\.00? ± /); // the mean of the three seeds
    expect(stderr).toMatch(/3 cells of 2 runs, 1 of them in several/);
    expect(stderr).toMatch(/environment: cpu: .*"Other" in /);
    const rows = (await readFile(join(out, "accuracy.csv"), "utf8")).trim().split("\n");
    expect(rows).toHaveLength(4);
    expect(await readFile(join(out, "models", "x.onnx"), "utf8")).toBe("network");
    const { parts = [] } = new RunDirectory(out).readRun();
    expect(parts.map(({ environment, cells }) => [environment.cpu, cells])).toEqual([
      [exampleEnvironment.cpu, [zero.id, two.id]],
      ["Other", [one.id]],
    ]);
    const page = await readFile(join(out, "report", "index.html"), "utf8");
    expect(page).toMatch(/cpu, of 1 cells<\/th><td[^>]*>Other</);
    const whole = await stored(seeds);
    await quantbench(["report", whole]);
    expect(rows).toEqual((await readFile(join(whole, "accuracy.csv"), "utf8")).trim().split("\n"));
    expect((await merge(out, a, b)).stderr).toMatch(/holds a run already/);
  });

  test("takes a result for a failure, whichever comes first", async () => {
    const failed = { ...failedCell("out of memory"), id: zero.id, config: zero.config };
    for (const order of [0, 1]) {
      const runs = [await stored([failed]), await stored([zero])];
      const out = join(await temporary(), "merged");
      await merge(out, ...(order === 0 ? runs : runs.toReversed()));
      expect(await readFile(join(out, "accuracy.csv"), "utf8")).toContain(",completed,");
    }
  });

  test("refuses different numbers for one cell, and different recipes", async () => {
    const out = join(await temporary(), "merged");
    const changed = { ...zero, weightHash: "other" };
    const numbers = await merge(out, await stored([zero]), await stored([changed]));
    expect(numbers.code).toBe(2);
    expect(numbers.stderr).toMatch(/have different numbers for resnet8-w8--lsq/);
    const { hyperparameters } = zero.config;
    const other = completedCell({
      seed: 1,
      hyperparameters: { ...hyperparameters, batchSize: 16 },
    });
    const recipes = await merge(out, await stored([zero]), await stored([other]));
    expect(recipes.code).toBe(2);
    expect(recipes.stderr).toMatch(
      /different comparisons: hyperparameters: batch size is 8 and 16/,
    );
    expect(await readdir(join(out, "..")), "nothing is left").toEqual([]);
  });
});

test("bundle packs a run into one file, the same every time, which is a run again", async () => {
  const path = await stored(seeds);
  await writeFile(join(path, "stages", "float-a.safetensors"), "large");
  await writeFile(join(path, "secret.key"), "not of the run");
  await symlink("/etc/hostname", join(path, "cells", "link.json"));
  const read = async () => {
    const { code, stdout, stderr } = await quantbench(["bundle", path]);
    expect(code, stderr).toBe(0);
    return readFile(stdout.trim());
  };
  await rm(join(path, "cells", "link.json"));
  const first = await read();
  await symlink("/etc/hostname", join(path, "models", "link.onnx"));
  const second = await read();
  const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  const files = unzipSync(second);
  const name = basename(path);
  expect(Object.keys(files)).not.toContain(`${name}/models/link.onnx`);
  expect(Object.keys(files).some((file) => /stages|secret/.test(file))).toBe(false);
  expect(strFromU8(files[`${name}/report/index.html`] ?? new Uint8Array())).toContain("Shared");
  await rm(join(path, "models", "link.onnx"));
  expect(digest(await read())).toBe(digest(first));

  const unpacked = await temporary();
  for (const [file, bytes] of Object.entries(unzipSync(first))) {
    await mkdir(join(unpacked, file, ".."), { recursive: true });
    await writeFile(join(unpacked, file), bytes);
  }
  const compared = await quantbench(["compare", path, join(unpacked, name)]);
  expect(compared.code, compared.stderr).toBe(0);
  expect(compared.stdout).toMatch(/1 identical/);
});

test("a small directory is packed again over the one before, never over cells, and merges", async () => {
  const small = join(await temporary(), "small");
  const pack = async (path: string) => quantbench(["bundle", path, "--out", small]);
  expect((await pack(await stored([zero], seeds))).stderr).toMatch(/^1 cells, [\d.]+ \w+\n/);
  const { code, stdout } = await pack(await stored([zero, one], seeds));
  expect([code, stdout.trim()]).toEqual([0, small]);
  const merged = join(await temporary(), "merged");
  const { stderr } = await quantbench([
    "merge",
    small,
    await stored([two], seeds),
    "--out",
    merged,
  ]);
  expect(stderr).toMatch(/3 cells of 2 runs, 0 of them in several/);
  const refused = await quantbench(["bundle", small, "--out", merged]);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/has results already; choose another directory/);
});

describe("serve", () => {
  let path = "";
  beforeAll(async () => {
    path = await stored([zero], seeds);
    await writeFile(join(path, "secret.json"), "not served");
  });

  /** A server on a port of its own, while `work` asks it. */
  async function serving(directory: string, work: (address: string) => Promise<void>) {
    const child = spawn(process.execPath, [MAIN, "serve", directory, "--port", "0"]);
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    const ended = new Promise((done) => child.on("exit", done));
    try {
      await vi.waitUntil(() => out.includes("\n"), { timeout: 60_000 });
      await work(out.trim());
    } finally {
      child.kill("SIGINT");
    }
    expect(await ended).toBe(0);
  }
  /** As fetch, which normalizes paths and sets the host itself, cannot ask. */
  const ask = (address: string, raw: string, headers = {}, method = "GET") =>
    new Promise<{ status: number; body: string }>((done, fail) => {
      const { hostname, port } = new URL(address);
      request({ hostname, port, path: raw, headers, method }, (response) => {
        let body = "";
        response.on("data", (chunk: Buffer) => (body += chunk.toString()));
        response.on("end", () => {
          done({ status: response.statusCode ?? 0, body });
        });
      })
        .on("error", fail)
        .end();
    });

  test("shows the report, tells pages that cells were added, and shows them", async () => {
    await serving(path, async (address) => {
      expect(new URL(address).hostname).toBe("127.0.0.1");
      const page = await fetch(address);
      expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
      const before = await page.text();
      expect(before).toContain("2 not run");
      expect(before).toContain("EventSource");
      // The policy of pages lets this one script through, and what it asks for.
      const [, reloading = ""] = /<script>(new EventSource[^<]*)</.exec(before) ?? [];
      const hash = createHash("sha256").update(reloading).digest("base64");
      expect(before).toContain(`script-src 'sha256-${hash}' `);
      expect(before).toContain("connect-src 'self'");
      const events = await fetch(new URL("events", address));
      const reader = events.body?.getReader();
      await new RunDirectory(path).writeCell(one);
      let told = "";
      while (!told.includes("event: changed"))
        told += new TextDecoder().decode((await reader?.read())?.value);
      await reader?.cancel();
      expect(await (await fetch(address)).text()).toContain("1 not run");
      const [cell = ""] = await readdir(join(path, "cells"));
      const json = await fetch(new URL(`cells/${cell}`, address));
      expect(await json.json()).toHaveProperty("state", "completed");
    });
  });

  test("shows nothing else, and nothing to other sites", async () => {
    await serving(path, async (address) => {
      await symlink("/etc/passwd", join(path, "report", "link.html"));
      const paths = [
        ...["/secret.json", "/run.json", "/report/../secret.json", "/report/%2e%2e/secret.json"],
        ...["/report/..%2fsecret.json", "/report/link.html", "/etc/passwd", "//etc/passwd"],
        ...["/cells/", "/report/cells", "/stages/x.safetensors", "/report/%00.html", "/report/%zz"],
      ];
      for (const raw of paths) {
        const { status, body } = await ask(address, raw);
        expect(status, raw).toBeGreaterThanOrEqual(400);
        expect(body, raw).not.toMatch(/not served|root:/);
      }
      expect((await ask(address, "/report/index.html")).status).toBe(200);
      expect((await ask(address, "/report/index.html", { host: "evil.example" })).status).toBe(403);
      expect((await ask(address, "/report/index.html", {}, "POST")).status).toBe(405);
    });
  });

  test("waits for a run that has only begun, and says when there is no directory", async () => {
    const empty = await temporary();
    await serving(empty, async (address) => {
      expect(await (await fetch(address)).text()).toContain("No cell is finished yet");
      await cp(path, empty, { recursive: true });
      await vi.waitUntil(async () => (await (await fetch(address)).text()).includes("Shared"), {
        timeout: 30_000,
        interval: 500,
      });
    });
    const missing = await quantbench(["serve", join(empty, "missing")]);
    expect(missing.code).toBe(2);
    expect(missing.stderr).toMatch(/no such file or directory/);
  });
});
