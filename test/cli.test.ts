import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import os from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import type { ProgressEvent } from "../benchmarks/progress.js";
import type { RunComparison } from "../reports/compareRuns.js";
import type { CompletedCell } from "../results/schema.js";
import { png } from "./benchmarks/ownData/files.js";
import { floats, modelByHand } from "./pipelines/import/modelByHand.js";

/** The real program, as built by `npm test`, in real processes on real files. */
const MAIN = resolve("dist/benchmarks/main.js");

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function quantbench(
  args: readonly string[],
  { main = MAIN, cwd = process.cwd() } = {},
): Promise<Outcome> {
  return new Promise((done) => {
    execFile(
      process.execPath,
      [main, ...args],
      { cwd, env: { ...process.env, NO_COLOR: "1" } },
      (error, stdout, stderr) => {
        done({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
      },
    );
  });
}

const temporary = () => mkdtemp(join(os.tmpdir(), "quantbench-cli-"));
/** The files that the README's example of an own network names. */
async function writeOwnInputs(directory: string, readme: string): Promise<void> {
  const yaml = /```yaml\n(.*?)```/s.exec(readme)?.[1] ?? "";
  await writeFile(join(directory, "prepare.yaml"), yaml);
  for (const part of ["train/cat", "train/dog", "test/cat", "test/dog"]) {
    await mkdir(join(directory, "images", part), { recursive: true });
    for (const name of ["a.png", "b.png"])
      await writeFile(join(directory, "images", part, name), png(30, 20, [9, 90, 200]));
  }
  const node = (op: string, inputs: string[], output: string) => ({
    ...{ op, inputs, outputs: [output] },
  });
  const network = modelByHand({
    opset: 17,
    input: ["n", 3, 224, 224],
    nodes: [
      node("Conv", ["x", "w"], "features"),
      node("GlobalAveragePool", ["features"], "pooled"),
      node("Flatten", ["pooled"], "y"),
    ],
    constants: [floats("w", [2, 3, 1, 1], [1, 2, 3, 4, 5, 6])],
  });
  await writeFile(join(directory, "net.onnx"), network.slice());
}

const csv = (directory: string) => readFile(join(directory, "accuracy.csv"), "utf8");
const cellFiles = async (directory: string) => {
  const files = await readdir(join(directory, "cells")).catch(() => []);
  return files.filter((file) => file.endsWith(".json"));
};

describe("a run", async () => {
  const out = await temporary();
  const first = await quantbench(["run", "smoke", "--out", out]);

  test("completes every cell, deployed as simulated, and writes report and tables", async () => {
    expect(first.code, first.stderr).toBe(0);
    expect(first.stdout).toContain("resnet8, width 4, W4A4");
    const rows = (await csv(out)).trim().split("\n");
    expect(rows).toHaveLength(5);
    const agreement = rows[0]?.split(",").indexOf("agreement") ?? -1;
    for (const row of rows.slice(1)) {
      expect(row).toContain(",completed,");
      expect(Number(row.split(",")[agreement])).toBeGreaterThanOrEqual(0.995);
    }
    expect(await readFile(join(out, "report", "index.html"), "utf8")).toContain("Smoke");
    expect(
      (await readdir(join(out, "models"))).filter((file) => file.endsWith(".onnx")),
    ).toHaveLength(4);
    expect(JSON.parse(await readFile(join(out, "environment.json"), "utf8"))).toHaveProperty(
      "engines.onnxruntime",
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

  test("is verified bit for bit, and a changed number is found", async () => {
    const good = await quantbench(["verify", out, "--cells", "1"]);
    expect(good.code, good.stdout + good.stderr).toBe(0);
    expect(good.stdout).toContain("equal");

    const tampered = await temporary();
    await cp(out, tampered, { recursive: true });
    for (const file of await cellFiles(tampered)) {
      const path = join(tampered, "cells", file);
      const text = await readFile(path, "utf8");
      await writeFile(path, text.replace(/"deployed": [\d.]+/, '"deployed": 0.123'));
    }
    const bad = await quantbench(["verify", tampered, "--cells", "1"]);
    expect(bad.code).toBe(1);
    expect(bad.stdout).toMatch(/accuracy\.deployed: stored 0\.123, repeated 0\.\d+/);
  });

  test("by the standard lowering has other ids, is verified by it, and not by a foreign one", async () => {
    const standard = await temporary();
    const args = ["run", "smoke", "--lowering", "standard", "--only", "backend=academic"];
    const run = await quantbench([...args, "--out", standard]);
    expect(run.code, run.stderr).toBe(0);
    const files = await cellFiles(standard);
    const texts = await Promise.all(
      files.map((file) => readFile(join(standard, "cells", file), "utf8")),
    );
    for (const text of texts) expect(text).toMatch(/"lowering": "standard"/);
    const verified = await quantbench(["verify", standard, "--cells", "1"]);
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);

    for (const [i, file] of files.entries()) {
      const foreign = texts[i]?.replace('"standard"', '"blocked: 4 channels, 7 images"') ?? "";
      await writeFile(join(standard, "cells", file), foreign);
    }
    const other = await quantbench(["verify", standard, "--cells", "1"]);
    expect(other.code).not.toBe(0);
    expect(other.stderr).toMatch(/cannot be bit-equal.*lowering blocked: 4 channels, 7 images/);
  });

  test("with a broken checkpoint has failed cells with the reason, and recovers", async () => {
    const broken = await temporary();
    await cp(out, broken, { recursive: true });
    const stage =
      (await readdir(join(broken, "stages"))).find((file) => file.startsWith("float-")) ?? "";
    await writeFile(join(broken, "stages", stage), "garbage!");
    await rm(join(broken, "cells"), { recursive: true });
    const failed = await quantbench(["run", "smoke", "--out", broken]);
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(
      /failed.*float-.* cannot be read .*delete it to compute it again/,
    );
    await rm(join(broken, "stages", stage));
    const recovered = await quantbench(["run", "smoke", "--out", broken]);
    expect(recovered.code, recovered.stderr).toBe(0);
    expect(await csv(broken)).toBe(await csv(out));
  });

  test("is rendered again from its stored results", async () => {
    const page = join(out, "report", "index.html");
    const before = await readFile(page, "utf8");
    await rm(page);
    const { code, stdout } = await quantbench(["report", out]);
    expect(code).toBe(0);
    expect(stdout).toContain("lsq");
    expect(await readFile(page, "utf8")).toBe(before);
  });

  test("has a page for each cell, and pages of cells that are gone are taken away", async () => {
    const pages = join(out, "report", "cells");
    await writeFile(join(pages, "gone.html"), "of a cell that was");
    await quantbench(["report", out]);
    const names = (await readdir(pages)).map((file) => file.replace(/html$/, "json"));
    expect(names.toSorted()).toEqual((await cellFiles(out)).toSorted());
  });

  test("is verified cell by cell, by the start of an id", async () => {
    const [file = ""] = await cellFiles(out);
    const id = file.slice(-17, -5);
    const { code, stdout, stderr } = await quantbench(["verify", out, "--cell", id]);
    expect(code, stderr).toBe(0);
    expect(stdout).toBe(`equal   ${file.replace(/\.json$/, "")}\n`);
    expect((await quantbench(["verify", out, "--cell", "xyz"])).stderr).toMatch(
      /no stored cell has an id that starts with "xyz"/,
    );
  });

  test("compares equal with itself, and a loss fails the comparison", async () => {
    const same = await quantbench(["compare", out, out]);
    expect(same.code, same.stderr).toBe(0);
    expect(same.stdout).toMatch(/4 in both: 4 identical/);
    const worse = await temporary();
    await cp(out, worse, { recursive: true });
    const [file = ""] = await cellFiles(worse);
    const path = join(worse, "cells", file);
    const cell = JSON.parse(await readFile(path, "utf8")) as CompletedCell;
    cell.accuracy.deployed = 0.05;
    await writeFile(path, JSON.stringify(cell));
    const page = join(worse, "changes.html");
    const changed = await quantbench(["compare", out, worse, "--html", page, "--json"]);
    expect(changed.code).toBe(1);
    const { changes } = JSON.parse(changed.stdout) as RunComparison;
    expect(changes.filter(({ verdict }) => verdict === "worse")).toHaveLength(1);
    expect(await readFile(page, "utf8")).toContain("1 worse");
  });

  test.each(["markdown", "latex", "csv", "json"])("becomes a table as %s", async (format) => {
    const { code, stdout, stderr } = await quantbench(["table", out, "--format", format]);
    expect(code, stderr).toBe(0);
    const [row] = (await csv(out)).split("\n").filter((line) => line.includes(",lsq,academic,"));
    const deployed = (100 * Number(row?.split(",")[13])).toFixed(2);
    expect(stdout).toContain(deployed);
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

  test("makes every command of the README and of CONTRIBUTING do what it is there for", async () => {
    const text =
      (await readFile("README.md", "utf8")) + (await readFile("CONTRIBUTING.md", "utf8"));
    const fences = [...text.matchAll(/```\n(.*?)```/gs)].map(([, code]) => code ?? "").join("");
    const inline = [...text.matchAll(/`npx (quantbench [^`]+)`/g)].map(
      ([, code]) => `npx ${code ?? ""}\n`,
    );
    const commands = [...(fences + inline.join("")).matchAll(/^npx quantbench (.*?)\s*(?:#.*)?$/gm)]
      .map(([, command]) => command ?? "")
      // They change the source, and have a test of their own below.
      .filter((command) => !/threeSigma|^new /.test(command));
    expect(commands.length).toBeGreaterThan(10);
    const cwd = await temporary();
    await writeOwnInputs(cwd, text);
    const [file = ""] = await cellFiles(out);
    for (const command of commands) {
      const args = command
        .replaceAll(/results\/(?:runs\/\w+|reference)/g, out)
        .replace("CELL", file.slice(-17, -5))
        .split(" ");
      if (args[0] === "run") args.push("--dry-run"); // what they run takes minutes
      if (args[0] === "verify") args.push("--cells", "1");
      const { code, stderr } = await quantbench(args, { cwd });
      expect(code, `${command}: ${stderr}`).toBe(0);
    }
  });

  test("hands each cell over as an artefact, or says why it cannot", async () => {
    const cwd = await temporary();
    const files = await cellFiles(out);
    const id = (files.find((file) => file.includes("lsq--onnxruntime")) ?? "").slice(-17, -5);
    const packed = await quantbench(["export", out, id, "--format", "onnxInt4"], { cwd });
    expect(packed.code, packed.stderr).toBe(0);
    const [path = ""] = packed.stdout.trim().split("\n");
    expect((await stat(join(cwd, path))).size).toBeGreaterThan(10_000);
    const refused = await quantbench(["export", out, id, "--format", "tensorrt"], { cwd });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/TensorRT dynamic ranges cannot hold ".*": /);
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
  expect(stdout).toMatch(/lsq +│ not converged │ not converged/);
  const rows = await readFile(join(out, "accuracy.csv"), "utf8");
  expect(rows).toMatch(
    /notConverged.*the loss of the quantized training became (NaN|-?Infinity) at step \d+/,
  );
  expect(await readFile(join(out, "report", "index.html"), "utf8")).toContain("not converged");
});

describe("bad input gets a clear error and exit code 2:", () => {
  test.each([
    [["run", "quik"], /Unknown matrix "quik"\. Did you mean "quick"/],
    [["run", "missing.yaml"], /cannot read the matrix file/],
    [["run", "smoke", "--only", "algorithm=pact"], /there is no such cell; there are minMax, lsq/],
    [["run", "smoke", "--only", "colour=red"], /property of algorithm, backend, model, bits, seed/],
    [["run", "smoke", "--jobs", "none"], /whole number from 1/],
    [
      ["run", "smoke", "--engine", "torch"],
      /Allowed choices are auto, onnxruntime, tfjs-node, tfjs/,
    ],
    [["run", "smoke", "--out", join(MAIN, "inside")], /ENOTDIR/],
    [["list", "algoritms"], /Did you mean "algorithms"/],
    [["report", os.tmpdir()], /run\.json is missing/],
    [["verify", join(os.tmpdir(), "no-such-run")], /no such file or directory/],
    [["rum"], /Did you mean run/],
  ])("quantbench %j", async (args, message) => {
    const { code, stderr, stdout } = await quantbench(args);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain("    at ");
    expect(stdout).toBe("");
    expect(code).toBeGreaterThan(0);
  });
});

test("everything registered is listed, for people and for programs", async () => {
  for (const what of ["algorithms", "backends", "models", "datasets", "matrices"]) {
    const [text, json] = [
      await quantbench(["list", what]),
      await quantbench(["list", what, "--json"]),
    ];
    const entries = JSON.parse(json.stdout) as { name: string }[];
    expect(entries.length).toBeGreaterThan(1);
    for (const { name } of entries) expect(text.stdout).toContain(name);
  }
});

test("check names what can be checked", async () => {
  const { code, stderr } = await quantbench(["check", "algorithm", "lqs"]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/Unknown algorithm "lqs"\. Did you mean "lsq"/);
  expect((await quantbench(["check", "backend", "tvm"])).stderr).toMatch(/Known: algorithm/);
});

test("check prints a report that a program can read", async () => {
  const { code, stdout } = await quantbench(["check", "algorithm", "pactMqbench", "--json"]);
  expect(code).toBe(0);
  const [report] = JSON.parse(stdout) as { findings: unknown[]; knownDefects: number }[];
  expect(report?.findings).toEqual([]);
  expect(report?.knownDefects).toBeGreaterThan(0);
});

test("the paper's matrix can be planned without ImageNet, but not run", async () => {
  const planned = await quantbench(["run", "mqbenchPaper", "--dry-run"]);
  expect(planned.code, planned.stderr).toBe(0);
  expect(planned.stdout).toMatch(/170 of 170 cells to run/);
  const run = await quantbench(["run", "mqbenchPaper", "--data", "nowhere"]);
  expect(run.code).toBe(2);
  expect(run.stderr).toMatch(/missing data directory nowhere/);
});

test("doctor finds what a run needs", async () => {
  const { code, stdout } = await quantbench(["doctor"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/ok +engine onnxruntime +1\.\d+/);
  expect(stdout).toMatch(/ok +dataset fashionMnist +20000 training and 10000 test images/);
});

test("init writes a matrix that can be run, and nobody's file is written over", async () => {
  const cwd = await temporary();
  expect((await quantbench(["init", "my.yaml"], { cwd })).code).toBe(0);
  const plan = await quantbench(["run", "my.yaml", "--dry-run"], { cwd });
  expect(plan.stdout, plan.stderr).toMatch(/24 of 24 cells to run/);
  const again = await quantbench(["init", "my.yaml"], { cwd });
  expect(again.code).toBe(2);
  expect(again.stderr).toMatch(/my.yaml exists already/);
});

test("completion knows every command, option and choice", async () => {
  const bash = (await quantbench(["completion", "bash"])).stdout;
  const complete = (line: string) =>
    new Promise<string[]>((done) => {
      const words = line.split(" ");
      const script = `${bash}\nCOMP_WORDS=(${words.map((word) => `"${word}"`).join(" ")}); COMP_CWORD=${String(words.length - 1)}; _quantbench; printf '%s\\n' "\${COMPREPLY[@]}"`;
      execFile("bash", ["-c", script], (_, stdout) => {
        done(stdout.trim().split("\n"));
      });
    });
  expect(await complete("quantbench co")).toEqual(["compare", "completion"]);
  expect(await complete("quantbench run qu")).toEqual(["quick"]);
  expect(await complete("quantbench run quick --dry")).toEqual(["--dry-run"]);
  expect(await complete("quantbench run quick --engine tfjs-")).toEqual(["tfjs-node"]);
  const fish = (await quantbench(["completion", "fish"])).stdout;
  expect(fish).toContain("__fish_seen_subcommand_from table' -l format");
});

test("every command has a help with examples or exit codes", async () => {
  const { stdout } = await quantbench(["--help"]);
  const commands = [...stdout.matchAll(/^ {2}(\w+) [[<]/gm)].map(([, name]) => name ?? "");
  expect(commands.length).toBeGreaterThan(9);
  for (const command of commands.filter((name) => name !== "help")) {
    const help = await quantbench([command, "--help"]);
    expect(help.stdout, command).toMatch(/Examples?:|Exit codes:/);
  }
});

/** The source in a folder of its own, to be changed and built there. */
async function sourceCopy(): Promise<string> {
  const copy = await temporary();
  for (const name of [
    "algorithms",
    "backends",
    "benchmarks",
    "pipelines",
    "reports",
    "results",
    "package.json",
    "tsconfig.json",
  ]) {
    await cp(name, join(copy, name), {
      recursive: true,
      filter: (path) => !/results\/(?:runs|reference)/.test(path),
    });
  }
  await symlink(resolve("node_modules"), join(copy, "node_modules"));
  return copy;
}

/** @returns what the compiler complains about */
const compile = (copy: string) =>
  new Promise<string>((done) => {
    execFile(
      process.execPath,
      [resolve("node_modules/typescript/bin/tsc"), "-p", copy],
      (_, stdout) => {
        done(stdout);
      },
    );
  });

test("new adds a working algorithm and a working backend, each with its test", async () => {
  const copy = await sourceCopy();
  await cp("test", join(copy, "test"), { recursive: true });
  for (const [what, name] of [
    ["algorithm", "myRounding"],
    ["backend", "myChip"],
  ] as const) {
    const { code, stderr } = await quantbench(["new", what, name], { cwd: copy });
    expect(code, stderr).toBe(0);
    const again = await quantbench(["new", what, name], { cwd: copy });
    expect(again.stderr).toMatch(/exists already/);
  }
  expect(await compile(copy)).toBe("");
  const main = join(copy, "dist", "benchmarks", "main.js");
  const check = await quantbench(["check", "algorithm", "myRounding"], { main, cwd: copy });
  expect(check.stdout).toMatch(/ok +myRounding: .* 0 problems/);
  const list = await quantbench(["list", "backends"], { main, cwd: copy });
  expect(list.stdout).toContain("myChip");
  const tests = await new Promise<string>((done) => {
    execFile(
      process.execPath,
      [
        resolve("node_modules/vitest/vitest.mjs"),
        ...["run", "--root", copy, "--dir", "test", "myRounding", "myChip"],
      ],
      { cwd: copy },
      (_, stdout) => {
        done(stdout);
      },
    );
  });
  expect(tests).toMatch(/2 passed/);
  const wrong = await quantbench(["new", "algorithm", "../evil"], { cwd: copy });
  expect(wrong.stderr).toMatch(/must be a camelCase name/);
});

test("the walk-through in CONTRIBUTING.md adds an algorithm in one file and one line", async () => {
  const copy = await sourceCopy();
  const guide = await readFile("CONTRIBUTING.md", "utf8");
  const [file = "", list = ""] = [...guide.matchAll(/```ts\n(.*?)```/gs)].map(
    ([, code]) => code ?? "",
  );
  await writeFile(join(copy, "algorithms", "threeSigma.ts"), file);
  const index = join(copy, "algorithms", "index.ts");
  const edited = (await readFile(index, "utf8")).replace(/ {2}qdrop,\n\];/, list.trimEnd());
  await writeFile(index, `import { threeSigma } from "./threeSigma.js";\n${edited}`);
  const matrix = (await readFile("benchmarks/matrices/smoke.yaml", "utf8"))
    .replace("[minMax, lsq]", "[threeSigma]")
    .replace("[academic, onnxruntime]", "[academic, snpe]");
  await writeFile(join(copy, "mine.yaml"), matrix);

  expect(await compile(copy)).toBe("");
  const main = join(copy, "dist", "benchmarks", "main.js");
  const check = await quantbench(["check", "algorithm", "threeSigma"], { main, cwd: copy });
  expect(check.stdout).toMatch(/ok +threeSigma: 11 checks at \d+ places, 0 problems/);
  expect(check.stdout).toMatch(/unsupported at \d+ places: needs a grid that is symmetric about 0/);
  expect(check.code, check.stderr).toBe(0);
  const run = await quantbench(["run", "mine.yaml"], { main, cwd: copy });
  expect(run.code, run.stderr).toBe(0);
  expect(run.stdout).toMatch(/threeSigma │ +\d\d\.\d\d \(.* │ unsupported │/);
  const rows = await readFile(join(copy, "results", "runs", "mine", "accuracy.csv"), "utf8");
  expect(rows).toContain("weight quantization: needs a grid that is symmetric about 0");
});
