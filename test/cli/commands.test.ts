import { execFile, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MAIN, quantbench, temporary } from "./quantbench.js";

describe("bad input gets a clear error and exit code 2:", () => {
  test.each([
    [["run", "quik"], /Unknown matrix "quik"\. Did you mean "quick"/],
    [["run", "missing.yaml"], /cannot read the matrix file/],
    [["run", "smoke", "--only", "algorithm=pact"], /there is no such cell; there are minMax, lsq/],
    [["run", "smoke", "--only", "colour=red"], /property of algorithm, backend, model, bits, seed/],
    [["run", "smoke", "--jobs", "none"], /whole number from 1/],
    [
      ["run", "smoke", "--engine", "torch"],
      /Allowed choices are auto, onnxruntime, portable, tfjs-node, tfjs/,
    ],
    [["run", "smoke", "--out", join(MAIN, "inside")], /ENOTDIR/],
    [["run", "smoke", "--out", "/proc/x"], /cannot make the directory \/proc/],
    [["list", "algoritms"], /Did you mean "algorithms"/],
    [["report", os.tmpdir()], /run\.json is missing/],
    [["verify", join(os.tmpdir(), "no-such-run")], /holds no finished cell to verify/],
    [["rum"], /Did you mean run/],
    [["compare", "a"], /missing required argument 'second'/],
    [["table", "x", "--format", "xml"], /Allowed choices are markdown, latex, csv, json/],
    [["run", "quick", "--jobs", "0"], /whole number from 1/],
    [["run", "--hang-limit"], /argument missing/],
  ])("quantbench %j", async (args, message) => {
    const { code, stderr, stdout } = await quantbench(args);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain("    at ");
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });
});

describe.runIf(existsSync("/dev/full"))("output that nobody takes:", () => {
  const run = (command: string) =>
    spawnSync("bash", ["-c", command], {
      encoding: "utf8",
      env: { ...process.env, NO_COLOR: "1", NODE: process.execPath, MAIN },
    });

  test("a full device is an error in a sentence", () => {
    const { status, stderr } = run('"$NODE" "$MAIN" list models >/dev/full');
    expect(stderr).toBe("error: cannot print: ENOSPC: no space left on device, write\n");
    expect(status).toBe(2);
  });

  test("a reader of results that has gone is none", () => {
    const { stdout } = run('"$NODE" "$MAIN" list models | true; echo "${PIPESTATUS[0]}"');
    expect(stdout).toBe("0\n");
  });

  test.each(["2>/dev/full", "2> >(true)"])("messages to %s change no exit code", (target) => {
    const { status } = run(`"$NODE" "$MAIN" run nothing ${target}`);
    expect(status).toBe(2);
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

test("algorithms are listed with their families", async () => {
  const { stdout } = await quantbench(["list", "algorithms", "--json"]);
  const listed = JSON.parse(stdout) as { name: string; family: string }[];
  const families = new Map(listed.map(({ name, family }) => [name, family]));
  expect(families.get("lsq")).toBe("quantization");
  expect(families.get("haq")).toBe("mixed precision");
  expect(families.get("channelwiseSize")).toBe("mixed precision");
  expect(families.get("verticalLayering")).toBe("quantization");
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

test.each([
  ["yes", /caution +8-bit kernels +onnxruntime's u8·s8 kernels saturate here \(said by/],
  ["no", /ok +8-bit kernels +onnxruntime's u8·s8 sums are exact here \(said by/],
])("doctor says whether 8-bit kernels saturate: %s", async (said, expected) => {
  const env = { QUANTBENCH_SATURATION: said };
  const { code, stdout } = await quantbench(["doctor"], { env });
  expect(stdout).toMatch(expected);
  expect(code).toBe(0);
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
