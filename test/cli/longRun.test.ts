import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import type { ProgressEvent } from "../../benchmarks/running/index.js";
import { MAIN, quantbench, temporary } from "./quantbench.js";

const events = (stderr: string) =>
  stderr
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as ProgressEvent);

/** A matrix of one cell whose float training takes long enough to be kept on the way. */
async function longMatrix(): Promise<string> {
  const smoke = await readFile("benchmarks/matrices/smoke.yaml", "utf8");
  const path = join(await temporary(), "long.yaml");
  await writeFile(
    path,
    smoke
      .replace("[minMax, lsq]", "[minMax]")
      .replace("[academic, onnxruntime]", "[academic]")
      .replace("pretrain: { epochs: 2", "pretrain: { epochs: 120"),
  );
  return path;
}

test("a training that was interrupted goes on where it was, to the same bits", async () => {
  const matrix = await longMatrix();
  const out = await temporary();
  const args = ["run", matrix, "--out", out, "--progress", "json"];
  const stages = join(out, "stages");
  const kept = async () => {
    const files = await readdir(stages).catch(() => []);
    return files.find((file) => file.endsWith(".unfinished"));
  };
  const child = spawn(process.execPath, [MAIN, ...args]);
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise((done) => child.on("exit", done));
  await vi.waitUntil(kept, { timeout: 100_000, interval: 50 });
  child.kill("SIGINT");
  expect(await ended).toBe(130);
  expect(existsSync(join(stages, (await kept()) ?? "none"))).toBe(true);

  const resumed = await quantbench(args);
  expect(resumed.code, resumed.stderr).toBe(0);
  const [first = 0] = events(resumed.stderr).flatMap((event) =>
    event.event === "progress" ? event.running.flatMap(({ step }) => step ?? []) : [],
  );
  expect(first).toBeGreaterThan(20);
  expect((await readdir(stages)).filter((file) => !file.endsWith(".safetensors"))).toEqual([]);

  // From scratch, every bit is the same.
  const verified = await quantbench(["verify", out]);
  expect(verified.code, verified.stdout + verified.stderr).toBe(0);
});

test("a state that is damaged is told, and the training starts anew", async () => {
  const out = await temporary();
  const first = await quantbench(["run", "smoke", "--out", out, "--only", "algorithm=minMax"]);
  expect(first.code, first.stderr).toBe(0);
  const key = (await readdir(join(out, "stages"))).find((file) => file.startsWith("float-")) ?? "";
  const again = await temporary();
  await quantbench(["run", "smoke", "--out", again, "--time", "1s"]); // makes the directory
  await writeFile(
    join(again, "stages", key.replace(".safetensors", ".unfinished")),
    "garbage that is longer than a checksum",
  );
  const run = await quantbench(["run", "smoke", "--out", again, "--only", "algorithm=minMax"]);
  expect(run.code, run.stderr).toBe(0);
  expect(run.stderr).toMatch(
    /float-\w+\.unfinished cannot be used: its checksum is wrong; the training starts anew/,
  );
  const rows = (directory: string) => readFile(join(directory, "accuracy.csv"), "utf8");
  expect(await rows(again)).toBe(await rows(out));
});

test("each finished cell's line says its accuracy, and the last one that no time is left", async () => {
  const { stderr } = await quantbench(["run", "smoke", "--out", await temporary()]);
  const lines = stderr.split("\n").filter((line) => /--seed0--/.test(line));
  expect(lines).toHaveLength(4);
  for (const line of lines) expect(line).toMatch(/: \d+\.\d\d % \([−+±]\d+\.\d\d\)$/);
  expect(lines.at(-1)).toMatch(/^\[4\/4, 0 s left\]/);
});

test("--time runs what fits, says so, and the same command goes on without it", async () => {
  const out = await temporary();
  const short = await quantbench(["run", "smoke", "--out", out, "--time", "1s"]);
  expect(short.code, short.stderr).toBe(0);
  expect(short.stderr).toMatch(
    /1 s were enough for \d of 4 cells, the most informative first; the same command without --time goes on/,
  );
  const rest = await quantbench(["run", "smoke", "--out", out]);
  expect(rest.code, rest.stderr).toBe(0);
  expect(rest.stderr).not.toContain("were enough");
  const dry = await quantbench(["run", "quick", "--time", "1s", "--dry-run", "--out", out]);
  expect(dry.stdout).toMatch(/left out +resnet8-w8--lsq--academic/);
});

test("a dry run of a large matrix is a summary, quick, and writes nothing", async () => {
  const out = join(await temporary(), "standard");
  const { code, stdout } = await quantbench(["run", "standard", "--dry-run", "--out", out]);
  expect(code).toBe(0);
  const lines = stdout.trim().split("\n");
  expect(lines.length).toBeLessThan(60);
  expect(stdout).toMatch(/^ +\d+ {2}to run +mobileNetV2, width 8$/m);
  expect(stdout).toMatch(/^ +\d+ {2}unsupported +because .*holds weights of 8 bits, not 4$/m);
  expect(lines.at(-1)).toMatch(/^(\d+) of \1 cells to run, about \d+ h \d\d min with/);
  expect(existsSync(out)).toBe(false);
});
