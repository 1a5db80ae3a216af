import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { CompletedCell } from "../../results/schema.js";
import { sealed, unsealed } from "../../results/sealedJson.js";
import { reportMissingEngines, tfjsNode } from "../engines.js";
import { quantbench, temporary } from "./quantbench.js";

reportMissingEngines();

describe.runIf(tfjsNode !== undefined)("a cell on another engine", () => {
  const verified = ["--cells", "1", "--engine", "tfjs-node"];
  let out = "";
  beforeAll(async () => {
    out = await temporary();
    const only = ["--only", "algorithm=lsq", "--only", "backend=academic"];
    const { code, stderr } = await quantbench(["run", "smoke", ...only, "--out", out]);
    expect(code, stderr).toBe(0);
  });

  test("starts on the same losses, and the rest of its way is shown", async () => {
    const { code, stdout, stderr } = await quantbench(["verify", out, ...verified]);
    expect(code, stdout + stderr).toBe(0);
    expect(stdout).toMatch(/stored: onnxruntime .*; other engine: tfjs-node .*TensorFlow/);
    for (const what of ["float loss, step 1 ", "quantized loss, step 1 "])
      expect(stdout).toMatch(new RegExp(`${what}.* ok `));
    expect(stdout).toMatch(/float loss, step 40 /);
    expect(stdout).toMatch(/accuracy, deployed/);
  });

  test("that differs by more than rounding is too far", async () => {
    const [file = ""] = await readdir(join(out, "cells"));
    const path = join(out, "cells", file);
    const text = await readFile(path, "utf8");
    const cell = unsealed(path, text) as CompletedCell;
    cell.losses[0] = 9.5;
    await writeFile(path, sealed(cell));
    const { code, stdout } = await quantbench(["verify", out, ...verified]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/quantized loss, step 1 .* 9\.50000 .*too far/);
    await writeFile(path, text);
  });

  test("needs another engine", async () => {
    const { code, stderr } = await quantbench(["verify", out, "--engine", "onnxruntime"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/was computed by onnxruntime; name another engine/);
  });
});
