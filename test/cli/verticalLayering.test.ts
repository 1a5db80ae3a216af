import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { decodePlanes } from "../../pipelines/export/index.js";
import { RunDirectory } from "../../results/store.js";
import { quantbench, temporary } from "./quantbench.js";

const MATRIX = `
title: Vertical Layering
dataset: fashionMnist
models: [{ name: resnet8, width: 2 }]
seeds: 1
cells:
  - algorithms: [verticalLayering]
    backends: [academic]
    bits: [{ weights: 2, activations: 8 }, { weights: 6, activations: 8 }]
  - { algorithms: [minMax], backends: [academic], bits: [{ weights: 4, activations: 8 }] }
  - { algorithms: [verticalLayering], backends: [onnxruntime], bits: [{ weights: 4, activations: 8 }] }
hyperparameters:
  batchSize: 16
  momentum: 0.9
  weightDecay: 0.0001
  augmentation: { shift: 0, flip: false }
  pretrain: { epochs: 0.5, learningRate: 0.1 }
  calibrationBatches: 2
  quantizedTraining: { epochs: 0.5, learningRate: 0.01 }
  search: { visits: 6000, heldOut: 50, fineTuning: { steps: 1, learningRate: 0.003 } }
  trainImages: 200
  testImages: 50
`;

test("one training serves all widths, each as a cell and as an artefact", async () => {
  const folder = await temporary();
  const [matrix, out] = [join(folder, "nested.yaml"), join(folder, "run")];
  await writeFile(matrix, MATRIX);
  const run = await quantbench(["run", matrix, "--out", out, "--engine", "portable"]);
  expect(run.code, run.stderr).toBe(0);
  const cells = [...(await new RunDirectory(out).readCells()).values()];
  const cellAt = (algorithm: string, bits: number) => {
    const cell = cells.find(
      ({ config }) => config.algorithm.name === algorithm && config.bits.weights === bits,
    );
    if (cell === undefined) throw new Error(`no cell of ${algorithm} at ${String(bits)} bits`);
    return cell;
  };
  const [two, six] = [cellAt("verticalLayering", 2), cellAt("verticalLayering", 6)];
  expect(cellAt("verticalLayering", 4)).toMatchObject({
    state: "unsupported",
    reason: /batch norm/,
  });
  if (two.state !== "completed" || six.state !== "completed") throw new Error(run.stderr);
  expect(six.search?.trace).toEqual(two.search?.trace);
  expect(six.search?.trace).toHaveLength(7);
  // The training is kept once, for cells that are still to come.
  const stages = await readdir(join(out, "stages"));
  expect(stages.filter((name) => name.startsWith("searched-"))).toHaveLength(1);

  const exported = async (cell: string, bits: number, name: string) => {
    const to = join(folder, name);
    const args = ["export", out, cell, "--bits", String(bits), "--out", to];
    const { code, stderr } = await quantbench(args);
    expect(code, stderr).toBe(0);
    const [file = ""] = (await readdir(to)).filter((one) => one.endsWith(".onnx"));
    return readFile(join(to, file));
  };
  // Only the names of networks are written besides their numbers.
  const weights = (model: Buffer, { id }: typeof two) =>
    model
      .toString("latin1")
      .replaceAll(id.slice(0, 12), "")
      .replace(/w[26]a8/g, "");
  const own = weights(await exported(two.id, 2, "own"), two);
  expect(weights(await exported(six.id, 2, "served"), six)).toBe(own);
  expect(weights(await exported(six.id, 3, "wider"), six)).not.toBe(own);

  const packed = await quantbench(["export", out, six.id, "--planes", "--out", folder]);
  expect(packed.code, packed.stderr).toBe(0);
  const planes = await readFile(packed.stdout.trim());
  for (const bits of [2, 3, 8]) {
    const codes = decodePlanes(planes, bits).get("s1.0.a/kernel") ?? [];
    expect(codes).toHaveLength(3 * 3 * 2 * 4);
    expect(Math.min(...codes)).toBeGreaterThanOrEqual(-(2 ** (bits - 1)));
    expect(Math.max(...codes)).toBeLessThan(2 ** (bits - 1));
    expect(new Set(codes).size).toBeGreaterThan(1);
  }

  const wrong = await quantbench(["export", out, two.id, "--bits", "9", "--out", folder]);
  expect(wrong.stderr).toMatch(/does not serve weights of 9 bits, but 2, 3, 4, 5, 6, 7, 8/);
  const { id } = cellAt("minMax", 4);
  const other = await quantbench(["export", out, id, "--bits", "3", "--out", folder]);
  expect(other.stderr).toMatch(/does not serve weights of 3 bits, but 4/);
  expect(other.code).toBe(2);
});
