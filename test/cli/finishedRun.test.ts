import { cp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { SensitivityReport } from "../../benchmarks/stored/index.js";
import type { RunComparison } from "../../reports/compareRuns.js";
import type { CompletedCell } from "../../results/schema.js";
import { unsealed } from "../../results/sealedJson.js";
import { writeOwnInputs } from "./ownInputs.js";
import { quantbench, temporary } from "./quantbench.js";
import { cellFiles, changeCell, csv } from "./runFiles.js";

describe("a finished run", async () => {
  const out = await temporary();
  const { code: ended, stderr: said } = await quantbench(["run", "smoke", "--out", out]);
  if (ended !== 0) throw new Error(said);

  test("is verified bit for bit, and a changed number is found", async () => {
    const good = await quantbench(["verify", out, "--cells", "1"]);
    expect(good.code, good.stdout + good.stderr).toBe(0);
    expect(good.stdout).toContain("equal");

    const tampered = await temporary();
    await cp(out, tampered, { recursive: true });
    for (const file of await cellFiles(tampered))
      await changeCell(join(tampered, "cells", file), (cell) => {
        cell.accuracy.deployed = 0.123;
      });
    const bad = await quantbench(["verify", tampered, "--cells", "1"]);
    expect(bad.code).toBe(1);
    expect(bad.stdout).toMatch(/accuracy\.deployed: stored 0\.123, repeated 0\.\d+/);

    // What was not written by the program is not even read.
    const [file = ""] = await cellFiles(tampered);
    const path = join(tampered, "cells", file);
    await writeFile(path, (await readFile(path, "utf8")).replace("0.123", "0.321"));
    expect((await quantbench(["table", tampered])).stderr).toMatch(/checksum/);
  });

  test("is rendered again from its stored results", async () => {
    const page = join(out, "report", "index.html");
    const before = await readFile(page, "utf8");
    await rm(page);
    const { code, stdout } = await quantbench(["report", out]);
    expect(code).toBe(0);
    expect(stdout).toContain("lsq");
    expect(await readFile(page, "utf8")).toBe(before);
    expect(before).toContain(`quantbench verify ${out}<`);
    expect(before).toContain("within 1 point,");
    const stricter = ["report", out, "--equivalent", "0.5", "--usable", "2"];
    expect((await quantbench(stricter)).code).toBe(0);
    const changed = await readFile(page, "utf8");
    expect(changed).toContain("within 0.5 points,");
    expect(changed).toContain("may lose 2 points or more");
    const refused = await quantbench(["report", out, "--usable", "none"]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/above 0, such as/)]);
  });

  test("has a page for each cell, and pages of cells that are gone are taken away", async () => {
    const pages = join(out, "report", "cells");
    await writeFile(join(pages, "gone.html"), "of a cell that was");
    await quantbench(["report", out]);
    const names = (await readdir(pages)).map((file) => file.replace(/html$/, "json"));
    expect(names.toSorted()).toEqual((await cellFiles(out)).toSorted());
  });

  test("packed for a repository is the same run to every command, and verified cell by cell", async () => {
    const packed = join(await temporary(), "packed");
    const bundled = await quantbench(["bundle", out, "--out", packed]);
    expect(bundled.code, bundled.stderr).toBe(0);
    expect((await readdir(packed)).toSorted()).toEqual(
      ["accuracy.csv", "cells.jsonl.br", "environment.json", "latency.csv"].concat(
        ...["matrix.yaml", "run.json"],
      ),
    );
    expect(await csv(packed)).toBe(await csv(out));
    const compared = await quantbench(["compare", out, packed]);
    expect(compared.stdout).toMatch(/4 in both: 4 identical/);
    const [table, same] = [await quantbench(["table", out]), await quantbench(["table", packed])];
    expect(same.stdout).toBe(table.stdout);

    const [file = ""] = await cellFiles(out);
    const name = file.replace(/\.json$/, "");
    const { code, stdout, stderr } = await quantbench(["verify", packed, "--cell", name]);
    expect(code, stderr).toBe(0);
    expect(stdout).toBe(`equal   ${name}\n`);
    expect((await quantbench(["verify", packed, "--cell", "xyz"])).stderr).toMatch(
      /no stored cell has an id that starts with "xyz"/,
    );
    const again = await quantbench(["run", "smoke", "--out", packed]);
    expect(again.stderr).toContain("4 of 4 cells are finished already");
    const page = await readFile(join(packed, "report", "cells", file.replace("json", "html")));
    expect(page.toString()).not.toContain("../../cells/"); // there are no such files to lead to
  });

  test("compares equal with itself, and a loss fails the comparison", async () => {
    const same = await quantbench(["compare", out, out]);
    expect(same.code, same.stderr).toBe(0);
    expect(same.stdout).toMatch(/4 in both: 4 identical/);
    const worse = await temporary();
    await cp(out, worse, { recursive: true });
    const [file = ""] = await cellFiles(worse);
    await changeCell(join(worse, "cells", file), (cell) => {
      cell.accuracy.deployed = 0.05;
      for (const runtime of Object.values(cell.runtimes))
        if ("accuracy" in runtime) runtime.accuracy = 0.05;
      delete cell.correctImages;
    });
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

  test("makes every command of the README and of CONTRIBUTING do what it is there for", async () => {
    const text =
      (await readFile("README.md", "utf8")) + (await readFile("CONTRIBUTING.md", "utf8"));
    const fences = [...text.matchAll(/```\n(.*?)```/gs)].map(([, code]) => code ?? "").join("");
    const inline = [...text.matchAll(/`npx (quantbench [^`]+)`/g)].map(
      ([, code]) => `npx ${code ?? ""}\n`,
    );
    const commands = [...(fences + inline.join("")).matchAll(/^npx quantbench (.*?)\s*(?:#.*)?$/gm)]
      .map(([, command]) => command ?? "")
      // They change the source, or need a Redis server, and have tests of their own.
      .filter((command) => !/threeSigma|^new |redis:|\/shared\//.test(command));
    expect(commands.length).toBeGreaterThan(10);
    const cwd = await temporary();
    await writeOwnInputs(cwd, text);
    const [file = ""] = await cellFiles(out);
    for (const command of commands) {
      const args = command
        .replaceAll(/results\/(?:runs\/\w+|reference|search)/g, out)
        .replace("CELL", file.slice(-17, -5))
        .split(" ");
      if (args[0] === "run") args.push("--dry-run"); // what they run takes minutes
      if (args[0] === "verify") args.push("--cells", "1");
      if (args[0] === "sensitivity") args.push("--images", "200", "--max-drop", "100");
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

    const tuned = await quantbench(["export", out, id, "--tune", "latency", "--json"], { cwd });
    expect(tuned.code, tuned.stderr).toBe(0);
    const found = JSON.parse(tuned.stdout) as Record<"file" | "form", string> & {
      readonly agreement: number;
      readonly tried: readonly { readonly form: string; readonly share?: number }[];
    };
    expect(found.agreement).toBeGreaterThanOrEqual(0.99);
    expect((await stat(join(cwd, found.file))).size).toBeGreaterThan(10_000);
    const shares = new Map(found.tried.map(({ form, share }) => [form, share]));
    expect([...shares.keys()]).toEqual(expect.arrayContaining(["float", "QuantizeLinear"]));
    // Not slower than the float network beside it.
    expect(shares.get(found.form)).toBeLessThanOrEqual(1);
  });

  test("tells which layers of a cell suffer, and what keeping its accuracy costs", async () => {
    const where = await temporary();
    const files = await cellFiles(out);
    const id = (files.find((file) => file.includes("minMax--academic")) ?? "").slice(-17, -5);
    const args = ["sensitivity", out, id, "--images", "200", "--max-drop", "2", "--out", where];
    const { code, stdout, stderr } = await quantbench([...args, "--json"]);
    const found = JSON.parse(stdout) as SensitivityReport;
    const { ranking, target } = found;
    // ResNet-8: stem, 8 convolutions of blocks, classifier, each with weights and inputs of its own.
    expect(ranking.length).toBe(30);
    expect(found.judges).toEqual({ images: 200, areLabeled: true });
    for (const { alone } of ranking)
      expect(Math.abs(alone.deployed.accuracy - alone.simulated.accuracy)).toBeLessThan(0.02);
    const { chosen, inFloat, quantized } = target.verified;
    const cell = files.find((file) => file.includes(id)) ?? "";
    const stored = unsealed(
      cell,
      await readFile(join(out, "cells", cell), "utf8"),
    ) as CompletedCell;
    expect(quantized.accuracy).toBeCloseTo(stored.accuracy.deployed, 6);
    expect(inFloat.accuracy).toBeCloseTo(stored.accuracy.float, 6);
    expect(found.inFloat.accuracy - (target.chosen?.behavior.accuracy ?? 0)).toBeLessThan(0.0201);
    const isKept = inFloat.accuracy - (chosen?.accuracy ?? 0) <= 0.02 + 1e-9;
    expect(code, stderr).toBe(isKept ? 0 : 1);
    expect(await readdir(where)).toEqual([cell, cell.replace(/json$/, "svg")]);
  });
});
