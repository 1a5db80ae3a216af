import { execFile } from "node:child_process";
import { cp, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { quantbench, temporary } from "./quantbench.js";

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

/** @returns what the compiler or the bundler complains about */
async function compile(copy: string): Promise<string> {
  const run = (file: string, args: readonly string[]) =>
    new Promise<string>((done) => {
      execFile(file, args, { cwd: copy }, (error, stdout) => {
        done(error === null ? "" : `${stdout}${error.message}`);
      });
    });
  const problems = await run(process.execPath, [
    ...[resolve("node_modules/typescript/bin/tsc"), "-p", copy],
  ]);
  return problems === "" ? run("npm", ["run", "--silent", "bundle"]) : problems;
}

test("new adds a working algorithm and a working backend, each with its test", async () => {
  const copy = await sourceCopy();
  await cp("test", join(copy, "test"), { recursive: true });
  for (const [what, name, ...kind] of [
    ["algorithm", "myRounding"],
    ["algorithm", "mySearch", "--kind", "search"],
    ["backend", "myChip"],
  ] as const) {
    const { code, stderr } = await quantbench(["new", what, name, ...kind], { cwd: copy });
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
        ...["run", "--root", copy, "--dir", "test", "myRounding", "mySearch", "myChip"],
      ],
      { cwd: copy },
      (_, stdout) => {
        done(stdout);
      },
    );
  });
  expect(tests).toMatch(/3 passed/);
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
  expect(check.stdout).toMatch(/ok +threeSigma: 15 checks at \d+ places, 0 problems/);
  expect(check.stdout).toMatch(/unsupported at \d+ places: needs a grid that is symmetric about 0/);
  expect(check.code, check.stderr).toBe(0);
  const run = await quantbench(["run", "mine.yaml"], { main, cwd: copy });
  expect(run.code, run.stderr).toBe(0);
  expect(run.stdout).toMatch(/threeSigma +\d\d\.\d\d \(.*\) +unsupported/);
  const rows = await readFile(join(copy, "results", "runs", "mine", "accuracy.csv"), "utf8");
  expect(rows).toContain("weight quantization: needs a grid that is symmetric about 0");
});

test("the search in CONTRIBUTING.md runs, and its page shows what it tried", async () => {
  const copy = await sourceCopy();
  const guide = await readFile("CONTRIBUTING.md", "utf8");
  const code = [...guide.matchAll(/```ts\n(.*?)```/gs)].find(([, text]) =>
    text?.includes("hillClimbing"),
  );
  await writeFile(join(copy, "algorithms", "hillClimbing.ts"), code?.[1] ?? "");
  const index = join(copy, "algorithms", "index.ts");
  const list = await readFile(index, "utf8");
  await writeFile(
    index,
    `import { hillClimbing } from "./hillClimbing.js";\n${list.replace("  qdrop,\n];", "  qdrop,\n  hillClimbing,\n];")}`,
  );
  const matrix = (await readFile("benchmarks/matrices/smoke.yaml", "utf8"))
    .replace("[minMax, lsq]", "[hillClimbing]")
    .replace("[academic, onnxruntime]", "[academic]")
    .concat(
      "  search: { visits: 2000, heldOut: 100, fineTuning: { steps: 1, learningRate: 0.001 } }\n",
    );
  await writeFile(join(copy, "mine.yaml"), matrix);
  expect(await compile(copy)).toBe("");
  const main = join(copy, "dist", "benchmarks", "main.js");
  const run = await quantbench(["run", "mine.yaml"], { main, cwd: copy });
  expect(run.code, run.stderr).toBe(0);
  const pages = join(copy, "results", "runs", "mine", "report", "cells");
  const [page = ""] = await readdir(pages);
  const text = await readFile(join(pages, page), "utf8");
  // 2000 visits are enough for ten evaluations of 100 + 3 * 32.
  expect(text).toContain("10 policies were tried, with 1,960 of 2,000 image visits");
});
