import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import {
  fileOf,
  nameOf,
  readStoredFloat,
  recipes,
  storedFloat,
  storedFloats,
} from "../../../benchmarks/checkpoints/index.js";
import { datasets } from "../../../benchmarks/datasets/index.js";
import { lookup } from "../../../benchmarks/lookup.js";
import { models } from "../../../benchmarks/models/index.js";
import { loadMatrix, planCells } from "../../../benchmarks/planning/index.js";
import { loadEngine } from "../../../pipelines/engine/index.js";
import { unquantized } from "../../../pipelines/network/index.js";
import { accuracyOf, evaluate, limitDataset } from "../../../pipelines/train/index.js";

const dataset = await lookup("dataset", "fashionMnist", datasets).load("");
const build = (name: string, width: number) =>
  lookup("model", name, models).build({
    ...{ inputShape: dataset.shape, classes: dataset.classes, width },
  });

describe("stored float networks", () => {
  test("there is one for every recipe and seed, with the bytes that the list names", async () => {
    const names = recipes.flatMap((recipe) =>
      Array.from({ length: recipe.seeds }, (_, seed) => nameOf(recipe, seed)),
    );
    expect(storedFloats().map(({ name }) => name)).toEqual(names.toSorted());
    for (const { name, sha256 } of storedFloats()) {
      const bytes = await readFile(fileOf(name));
      expect(createHash("sha256").update(bytes).digest("hex"), name).toBe(sha256);
      expect(bytes.length, name).toBeLessThan(800_000);
    }
  });

  test.each(storedFloats().filter(({ seed }) => seed === 0))(
    "$name classifies as many of the first images as its accuracy says",
    async ({ model, width, accuracy, sha256 }) => {
      const network = build(model, width);
      const tensors = await readStoredFloat(sha256, network);
      const few = limitDataset(dataset, { testImages: 1000 });
      const engine = await loadEngine("portable");
      const mode = () => ({ quantize: unquantized });
      const logits = await evaluate(engine, network, { tensors, dataset: few, mode });
      // Five deviations of a share of 1,000 images.
      const slack = 5 * Math.sqrt((accuracy * (1 - accuracy)) / 1000);
      expect(Math.abs(accuracyOf(logits, few) - accuracy)).toBeLessThan(slack);
    },
  );

  test("an unknown seed, width or network is an error that says what is stored", () => {
    const wanted = { name: "resnet8", version: 1, width: 8, seed: 0, dataset };
    expect(storedFloat(wanted).name).toBe("resnet8-w8-seed0");
    expect(storedFloats().map(({ name }) => name)).toContain("resnet8-w8-flipped-seed0");
    expect(() => storedFloat({ ...wanted, seed: 99 })).toThrow(
      /seed 99 \(stored: .*width 8, fashionMnist, seed 0/,
    );
    expect(() => storedFloat({ ...wanted, width: 5 })).toThrow(/width 5/);
    const other = { name: "other", checksum: "00" };
    expect(() => storedFloat({ ...wanted, dataset: other })).toThrow(/give "pretrain" epochs/);
  });

  test("one of another network is refused, and so is one that this version does not have", async () => {
    const [{ sha256 } = { sha256: "" }] = storedFloats();
    await expect(readStoredFloat(sha256, build("resnet8", 5))).rejects.toThrow(/has shape \[/);
    await expect(readStoredFloat("0".repeat(64), build("resnet8", 8))).rejects.toThrow(
      /is not part of this version/,
    );
  });
});

test("cells that start from stored networks name them, each seed its own, and share no recipe", async () => {
  const matrix = await loadMatrix("smoke");
  const listed = [{ name: "resnet8", width: 8 }];
  const stored = {
    ...{ ...matrix, models: listed, seeds: 2 },
    hyperparameters: { ...matrix.hyperparameters, pretrain: "stored" as const },
  };
  const engine = await loadEngine("portable");
  const cells = await planCells(stored, dataset, engine);
  const hashes = new Set(cells.map(({ config }) => config.model.checkpoint));
  expect(hashes).toEqual(
    new Set(
      storedFloats()
        .filter((one) => /^resnet8-w8-seed[01]$/.test(one.name))
        .map((one) => one.sha256),
    ),
  );
  const slower = { ...stored.hyperparameters, batchSize: 16 };
  const again = await planCells({ ...stored, hyperparameters: slower }, dataset, engine);
  expect(new Set(again.map(({ pretrainKey }) => pretrainKey))).toEqual(
    new Set(cells.map(({ pretrainKey }) => pretrainKey)),
  );
});
