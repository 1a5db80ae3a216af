import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import type { ProgressEvent } from "../../benchmarks/running/index.js";
import { canonicalHash } from "../../results/canonicalHash.js";
import type { CompletedCell } from "../../results/schema.js";
import { MAIN, quantbench, temporary } from "./quantbench.js";
import { cellFiles, changeCell, csv } from "./runFiles.js";

describe("a run", async () => {
  const out = await temporary();
  const first = await quantbench(["run", "smoke", "--out", out]);

  test("completes every cell, deployed as simulated, and writes report and tables", async () => {
    expect(first.code, first.stderr).toBe(0);
    expect(first.stdout).toContain("resnet8, width 4, W4A4");
    const rows = (await csv(out)).trim().split("\n");
    expect(rows).toHaveLength(5);
    const column = rows[0]?.split(",").indexOf("changed_by_rounding") ?? -1;
    for (const row of rows.slice(1)) {
      expect(row).toContain(",completed,");
      // So short a training leaves some of 400 images whose best two logits are equal but for noise.
      expect(Number(row.split(",")[column])).toBeLessThanOrEqual(8);
    }
    expect(await readFile(join(out, "report", "index.html"), "utf8")).toContain("Smoke");
    expect(
      (await readdir(join(out, "models"))).filter((file) => file.endsWith(".onnx")),
    ).toHaveLength(4);
    const environment: unknown = JSON.parse(await readFile(join(out, "environment.json"), "utf8"));
    expect(environment).toHaveProperty("engines.onnxruntime");
    expect(environment).toHaveProperty("saturation.preciseIsRight", true);
  });

  test("says which kernels computed each cell, and what they changed", async () => {
    const texts = (await cellFiles(out)).map((file) => readFile(join(out, "cells", file), "utf8"));
    for (const text of await Promise.all(texts)) {
      const { config, deployment, runtimes, measured } = JSON.parse(text) as CompletedCell;
      if (deployment === undefined) throw new Error("the cell does not say what deployed it");
      const { kernels, saturates, changed } = deployment;
      expect(deployment.runtime).toMatch(/^onnxruntime \d+\.\d+/);
      expect(deployment.instructionSet.split(" ")[0]).toBe(process.arch);
      const isDevice = config.backend.name === "onnxruntime";
      expect(kernels).toBe(isDevice ? "shipped" : "precise");
      expect("onnxruntimePrecise" in runtimes).toBe(isDevice);
      expect("onnxruntimeReduced" in runtimes).toBe(isDevice);
      // What avoids saturation is timed where there is any.
      expect(measured.runtimes["onnxruntimePrecise"]?.latency !== undefined).toBe(
        isDevice && saturates,
      );
      if (kernels === "precise" || !saturates) expect(changed?.byKernels).toBe(0);
    }
  });

  test.each(["yes", "no"])("on a processor that is said to saturate: %s", async (said) => {
    const told = await temporary();
    const env = { QUANTBENCH_SATURATION: said };
    const args = ["run", "smoke", "--only", "backend=onnxruntime", "--only", "algorithm=minMax"];
    const { code, stderr } = await quantbench([...args, "--out", told], { env });
    expect(code, stderr).toBe(0);
    const environment: unknown = JSON.parse(await readFile(join(told, "environment.json"), "utf8"));
    const saturates = said === "yes";
    expect(environment).toHaveProperty("saturation.saturates", saturates);
    expect(environment).toHaveProperty("saturation.forced", true);
    const [file = ""] = await cellFiles(told);
    const cell = JSON.parse(await readFile(join(told, "cells", file), "utf8")) as CompletedCell;
    expect(cell.deployment?.saturates).toBe(saturates);
    expect(cell.measured.runtimes["onnxruntimeReduced"]?.latency !== undefined).toBe(saturates);
    // What the kernels really do is counted, whatever the probe says.
    const same = await quantbench(["verify", told, "--cells", "1"], { env });
    expect(same.code, same.stdout).toBe(0);
    expect(same.stdout).not.toContain("was not compared");
    const other = { QUANTBENCH_SATURATION: saturates ? "no" : "yes" };
    const elsewhere = await quantbench(["verify", told, "--cells", "1"], { env: other });
    expect(elsewhere.code, elsewhere.stdout).toBe(0);
    expect(elsewhere.stdout).toMatch(
      /was not compared.*8-bit kernels of one of the two processors saturate/,
    );
  });

  test("that is repeated computes nothing again", async () => {
    const before = await csv(out);
    const again = await quantbench(["run", "smoke", "--out", out]);
    expect(again.stderr).toContain("4 of 4 cells are finished already");
    expect(again.code).toBe(0);
    expect(await csv(out)).toBe(before);
  });

  test("killed at any moment loses no finished cell, and goes on to the same bytes", async () => {
    const killed = await temporary();
    const args = [MAIN, "run", "smoke", "--out", killed, "--jobs", "1"];
    // The whole process tree, by its group, without a chance to clean up.
    const child = spawn(process.execPath, args, { detached: true, stdio: "ignore" });
    while ((await cellFiles(killed)).length === 0) await sleep(20);
    process.kill(-(child.pid ?? NaN), "SIGKILL");
    const kept = await cellFiles(killed);
    const times = await Promise.all(
      kept.map(async (file) => (await stat(join(killed, "cells", file))).mtimeMs),
    );

    const resumed = await quantbench(["run", "smoke", "--out", killed]);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stderr).toMatch(/[1-3] of 4 cells are finished already/);
    expect(await csv(killed)).toBe(await csv(out));
    const after = await Promise.all(
      kept.map(async (file) => (await stat(join(killed, "cells", file))).mtimeMs),
    );
    expect(after).toEqual(times);
  });

  test("can be interrupted with Ctrl-C and says how to go on", async () => {
    const interrupted = await temporary();
    const child = spawn(process.execPath, [MAIN, "run", "smoke", "--out", interrupted]);
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    await vi.waitUntil(() => existsSync(join(interrupted, "run.json")), { timeout: 60_000 });
    child.kill("SIGINT");
    const code = await new Promise((done) => child.on("exit", done));
    expect(code).toBe(130);
    expect(stderr).toContain("run the same command again to go on");
  });

  test("shares its directory with no other run", async () => {
    const shared = await temporary();
    const child = spawn(process.execPath, [MAIN, "run", "smoke", "--out", shared], {
      stdio: "ignore",
    });
    const ended = new Promise((done) => child.on("exit", done));
    await sleep(1000);
    const second = await quantbench([
      "run",
      "smoke",
      "--out",
      shared,
      "--only",
      "algorithm=minMax",
    ]);
    expect(await ended).toBe(0);
    // It waits some seconds for the lock: either it gets it then, or it says why not.
    if (second.code !== 0) expect(second.stderr).toContain("another quantbench process works in");
    expect(await csv(shared)).toBe(await csv(out));
  });

  test("by the standard lowering has other ids, is verified by it, and not by a foreign one", async () => {
    const standard = await temporary();
    const args = ["run", "smoke", "--lowering", "standard", "--only", "backend=academic"];
    const run = await quantbench([...args, "--out", standard]);
    expect(run.code, run.stderr).toBe(0);
    const files = await cellFiles(standard);
    for (const file of files)
      expect(await readFile(join(standard, "cells", file), "utf8")).toMatch(
        /"lowering": "standard"/,
      );
    const verified = await quantbench(["verify", standard, "--cells", "1"]);
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);

    for (const file of files)
      await changeCell(join(standard, "cells", file), (cell) => {
        cell.config.engine.lowering = "blocked: 4 channels, 7 images";
        cell.id = canonicalHash(cell.config);
      });
    const other = await quantbench(["verify", standard, "--cells", "1"]);
    expect(other.code).not.toBe(0);
    expect(other.stderr).toMatch(/cannot be bit-equal.*lowering blocked: 4 channels, 7 images/);
  });

  test("with a broken checkpoint says so, computes it again, and ends with the same table", async () => {
    const broken = await temporary();
    await cp(out, broken, { recursive: true });
    const stage =
      (await readdir(join(broken, "stages"))).find((file) => file.startsWith("float-")) ?? "";
    await writeFile(join(broken, "stages", stage), "garbage!");
    await rm(join(broken, "cells"), { recursive: true });
    const { code, stderr } = await quantbench(["run", "smoke", "--out", broken]);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/float-.* cannot be used: .*; it is computed again/);
    expect(await csv(broken)).toBe(await csv(out));
  });

  test("by the portable engine gives the published numbers, digit for digit; by another it says so", async () => {
    const args = ["run", "smoke", "--engine", "portable", "--only", "backend=academic"];
    const { code, stderr } = await quantbench([...args, "--out", await temporary()]);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(
      /Published numbers \(results\/smoke\/accuracy\.csv, trained by portable/,
    );
    // After a change of numbers: run smoke --engine portable, and keep its accuracy.csv there.
    expect(stderr).toMatch(/\d+ of \d+ are equal, (?:digit for digit|among them all that must be)/);
    expect(stderr).toContain("2 cells that are published were not run");
    expect(first.stderr).toMatch(
      /differ: onnxruntime [\d.]+ trained here, portable [\w-]+ what is/,
    );
  });

  test("tells programs what happens, a JSON object a line", async () => {
    const { stderr, code } = await quantbench([
      ...["run", "smoke", "--out", await temporary(), "--only", "algorithm=minMax"],
      ...["--progress", "json"],
    ]);
    expect(code).toBe(0);
    const lines = stderr.split("\n").filter((line) => line.startsWith("{"));
    const events = lines.map((line) => JSON.parse(line) as ProgressEvent);
    const cells = events.filter((entry) => entry.event === "cell");
    expect(cells.map(({ state }) => state)).toEqual(["completed", "completed"]);
    expect(cells.at(-1)).toMatchObject({ done: 2, total: 2, failed: 0 });
  });

  test("says nothing but its result when asked to be quiet", async () => {
    const { stderr, stdout } = await quantbench(["run", "smoke", "--out", out, "--quiet"]);
    expect(stderr).toBe("");
    expect(stdout).toContain("deployed accuracy in percent");
  });

  test("that would run is listed, with those already done and an estimate", async () => {
    const dry = await quantbench(["run", "smoke", "--out", out, "--seeds", "2", "--dry-run"]);
    expect(dry.stdout).toMatch(/completed {5}resnet8-w4--minMax--academic--w4a4--seed0/);
    expect(dry.stdout).toMatch(/to run {8}resnet8-w4--lsq--onnxruntime--w4a4--seed1/);
    expect(dry.stdout).toMatch(/4 of 8 cells to run, about \d+ s/);
    const json = await quantbench(["run", "smoke", "--out", out, "--dry-run", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ estimateSeconds: 0 });
  });
});

test("a training that diverges is a result, and the run goes on", async () => {
  const directory = await temporary();
  const smoke = await readFile("benchmarks/matrices/smoke.yaml", "utf8");
  const wild = smoke.replace(/(quantizedTraining:.*learningRate: )[\d.]+/, "$11.0e+30");
  await writeFile(join(directory, "wild.yaml"), wild);
  const out = join(directory, "out");
  const { code, stdout } = await quantbench(["run", join(directory, "wild.yaml"), "--out", out]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/lsq +not converged +not converged/);
  const rows = await readFile(join(out, "accuracy.csv"), "utf8");
  expect(rows).toMatch(
    /notConverged.*the loss of the quantized training became (NaN|-?Infinity) at step \d+/,
  );
  expect(await readFile(join(out, "report", "index.html"), "utf8")).toContain("not converged");
});
