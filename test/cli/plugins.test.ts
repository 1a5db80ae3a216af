import { mkdir, readdir, readFile, copyFile, symlink, writeFile } from "node:fs/promises";
import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { quantbench, temporary } from "./quantbench.js";

const guide = await readFile("CONTRIBUTING.md", "utf8");
const [distillation = "", plain = ""] = [...guide.matchAll(/```js\n(.*?)```/gs)].map(
  ([, code]) => code ?? "",
);

/** A user's own package, in which quantbench is installed. */
async function ownPackage(files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await temporary();
  await mkdir(join(directory, "node_modules"));
  await symlink(resolve("."), join(directory, "node_modules", "quantbench"));
  await writeFile(join(directory, "package.json"), '{ "type": "module" }');
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  return directory;
}

/** A smoke run with other algorithms and backends. */
const smoke = async (algorithms: string, backends = "academic") =>
  (await readFile("benchmarks/matrices/smoke.yaml", "utf8"))
    .replace("[minMax, lsq]", `[${algorithms}]`)
    .replace("[academic, onnxruntime]", `[${backends}]`);

describe("a plugin", () => {
  let cwd = "";
  const more = `
    import { backends, NetworkBuilder } from "quantbench";
    const tensorrt = backends.find(({ name }) => name === "tensorrt");
    const ones = {
      count: 400,
      images: Uint8Array.from({ length: 400 * 64 }, (_, i) => (i * 97 + (i >> 6) * 31) % 256),
      labels: Uint8Array.from({ length: 400 }, (_, i) => i % 4),
    };
    export default {
      backends: [{ ...tensorrt, name: "myChip", title: "My chip", version: 1 }],
      models: [{
        name: "tiny", title: "Tiny", version: 1, defaultWidth: 4,
        source: { title: "Here", url: "https://example.org" },
        build({ inputShape, classes, width }) {
          const builder = new NetworkBuilder();
          const image = builder.input(inputShape);
          const features = builder.convolution("stem", image, { filters: width, kernelSize: 3, activation: "relu" });
          return builder.classifier(features, classes);
        },
      }],
      datasets: [{
        name: "noise", title: "Noise", license: "none", embedded: true, files: [],
        load: () => Promise.resolve({
          name: "noise", shape: [8, 8, 1], classes: 4, mean: [0.5], deviation: [0.25], mayFlip: false,
          train: ones, test: ones, checksum: "noise 1",
        }),
      }],
    };`;
  beforeAll(async () => {
    cwd = await ownPackage({ "mine.js": plain, "more.js": more });
  });

  test("adds an algorithm: the guide's one is listed, checked, run and verified", async () => {
    const list = await quantbench(["list", "algorithms", "--plugin", "mine.js"], { cwd });
    expect(list.stdout).toContain("trainedMse");
    const check = ["check", "algorithm", "trainedMse", "--plugin", "mine.js"];
    expect((await quantbench(check, { cwd })).stdout).toMatch(/ok +trainedMse: .* 0 problems/);
    await writeFile(join(cwd, "matrix.yaml"), await smoke("trainedMse"));
    const run = await quantbench(["run", "matrix.yaml", "--out", "run", "--plugin", "mine.js"], {
      cwd,
    });
    expect(run.code, run.stderr).toBe(0);
    expect(run.stdout).toMatch(/trainedMse/);
    const verified = await quantbench(["verify", "run", "--plugin", "mine.js"], { cwd });
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);
    const without = await quantbench(["verify", "run"], { cwd });
    expect(without.code).toBe(2);
    expect(without.stderr).toMatch(/Unknown algorithm "trainedMse"/);
  });

  test("that computes something else makes no stale results, and one that is written otherwise none new", async () => {
    const states = async (text: string) => {
      await writeFile(join(cwd, "mine.js"), text);
      const args = ["run", "matrix.yaml", "--out", "run", "--dry-run", "--plugin", "mine.js"];
      return (await quantbench(args, { cwd })).stdout;
    };
    expect(await states(plain)).toMatch(/^completed/);
    const renamed = plain
      .replace("const trainedMse", "const other")
      .replace("[trainedMse]", "[other]");
    expect(await states(`// words\n${renamed}`)).toMatch(/^completed/);
    const changed = plain.replaceAll("fixedGrid(mseObserver)", "fixedGrid(minMaxObserver)");
    expect(
      await states(changed.replace("{ fixedGrid, mseO", "{ minMaxObserver, fixedGrid, mseO")),
    ).toMatch(/^to run/);
    await states(plain);
  });

  test("adds backends, models and data sets; several are taken", async () => {
    const matrix = (await smoke("minMax", "myChip"))
      .replace("dataset: fashionMnist", "dataset: noise")
      .replace("name: resnet8, width: 4", "name: tiny")
      .replace(/trainImages.*\n.*testImages.*\n/, "");
    await writeFile(join(cwd, "more.yaml"), matrix);
    const args = [
      "run",
      "more.yaml",
      "--out",
      "more",
      "--plugin",
      "mine.js",
      "--plugin",
      "more.js",
    ];
    const run = await quantbench(args, { cwd });
    expect(run.code, run.stderr).toBe(0);
    expect(await readFile(join(cwd, "more", "accuracy.csv"), "utf8")).toMatch(
      /tiny.*minMax.*myChip/,
    );
  });

  test("has types, in a package of one's own", async () => {
    const typed = `
      import type { Algorithm, BackendProfile, DatasetSource, Model, Plugin } from "quantbench";
      import { fixedGrid, mseObserver, tf, TRAIN_ALL } from "quantbench";
      export const one: tf.Scalar = tf.scalar(1);
      const algorithm: Algorithm = {
        name: "a", title: "A", version: 1, source: { title: "", url: "" }, deviations: [],
        weight: fixedGrid(mseObserver), activation: fixedGrid(mseObserver), phases: TRAIN_ALL,
      };
      export type All = [BackendProfile, DatasetSource, Model];
      // @ts-expect-error a version is a number
      export const wrong: Algorithm = { ...algorithm, version: "1" };
      export default { algorithms: [algorithm] } satisfies Plugin;`;
    await writeFile(join(cwd, "typed.ts"), typed);
    await symlink(resolve("node_modules/@tensorflow"), join(cwd, "node_modules", "@tensorflow"));
    const complaints = await new Promise<string>((done) => {
      execFile(
        process.execPath,
        [
          resolve("node_modules/typescript/bin/tsc"),
          ...[
            "--noEmit",
            "--strict",
            "--skipLibCheck",
            "--module",
            "nodenext",
            "--target",
            "es2023",
          ],
          "typed.ts",
        ],
        { cwd },
        (_, stdout) => {
          done(stdout);
        },
      );
    });
    expect(complaints).toBe("");
  });

  test.each([
    ["missing.js", undefined, /cannot load the plugin .*missing\.js/],
    ["empty.js", "export const a = 1;", /has no default export/],
    ["list.js", "export default { algoritms: [] };", /Unrecognized key: "algoritms"/],
    [
      "half.js",
      'export default { algorithms: [{ name: "half", title: "Half", version: 1, source: { title: "a", url: "" }, deviations: [], weight: { learned: [] } }] };',
      /algorithms half: weight\.observe: must be a function/,
    ],
    [
      "twice.js",
      'import { algorithms } from "quantbench"; export default { algorithms: [algorithms[0]] };',
      /algorithms has "lsq" already; choose another name/,
    ],
    ["throws.js", 'throw new Error("on purpose");', /cannot load the plugin .*: on purpose/],
  ])("that is wrong is told by its file and place: %s", async (name, text, message) => {
    if (text !== undefined) await writeFile(join(cwd, name), text);
    const { code, stderr } = await quantbench(["list", "models", "--plugin", name], { cwd });
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain("    at ");
    expect(code).toBe(2);
  });
});

test("the guide's distillation trains with a teacher from another run", async () => {
  const cwd = await ownPackage({
    // The teacher that a smoke run trains is smaller than the guide's.
    "distilled.js": distillation
      .replace('"resnet20"', '"resnet8"')
      .replace("width: 16", "width: 4"),
    "matrix.yaml": await smoke("lsq, lsqDistilled"),
  });
  const teacher = await quantbench(["run", "smoke", "--out", "teacher"], { cwd });
  expect(teacher.code, teacher.stderr).toBe(0);
  const stages = await readdir(join(cwd, "teacher", "stages"));
  const float = stages.find((file) => file.startsWith("float-")) ?? "";
  await copyFile(join(cwd, "teacher", "stages", float), join(cwd, "teacher.safetensors"));
  const args = ["run", "matrix.yaml", "--out", "run", "--plugin", "distilled.js", "--json"];
  const run = await quantbench(args, { cwd });
  expect(run.code, run.stderr).toBe(0);
  const cells = JSON.parse(run.stdout) as {
    config: { algorithm: { name: string } };
    losses: number[];
  }[];
  const [plainly = [], distilled = []] = ["lsq", "lsqDistilled"].map(
    (name) => cells.find(({ config }) => config.algorithm.name === name)?.losses,
  );
  expect(distilled).toHaveLength(plainly.length);
  expect(distilled[0]).not.toBeCloseTo(plainly[0] ?? 0, 1); // another loss altogether
});

describe("try", () => {
  test("runs an algorithm beside min-max and LSQ, and quick says so", async () => {
    const cwd = await temporary();
    const plan = await quantbench(["run", "quick", "--only", "algorithm=dorefaMqbench"], { cwd });
    expect(plan.code).toBe(2);
    expect(plan.stderr).toMatch(/quantbench try dorefaMqbench runs it/);
    const started = performance.now();
    const tried = await quantbench(["try", "dorefaMqbench"], { cwd });
    expect(tried.code, tried.stderr).toBe(0);
    for (const name of ["dorefaMqbench", "minMax", "lsq", "academic", "tvm"])
      expect(tried.stdout).toContain(name);
    expect(performance.now() - started).toBeLessThan(300_000);
    const report = join(cwd, "results", "runs", "try-dorefaMqbench", "report", "index.html");
    expect(await readFile(report, "utf8")).toContain("quantbench try dorefaMqbench");
  }, 400_000);

  test("names what there is when there is none such", async () => {
    const { code, stderr } = await quantbench(["try", "lqs"], { cwd: await temporary() });
    expect(code).toBe(2);
    expect(stderr).toMatch(/Unknown algorithm or backend "lqs"\. Did you mean "lsq"/);
  });
});
