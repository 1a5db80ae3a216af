import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { lookup } from "../../../benchmarks/lookup.js";
import {
  loadMatrix,
  parseMatrix,
  presetNames,
  publishedAccuracies,
} from "../../../benchmarks/planning/matrix.js";

const quick = await readFile("benchmarks/matrices/quick.yaml", "utf8");
const edited = (from: string | RegExp, to: string) => () =>
  parseMatrix(quick.replace(from, to), "my.yaml");

test("every preset is valid", async () => {
  for (const name of await presetNames()) expect((await loadMatrix(name)).name).toBe(name);
});

test("published accuracies are those of a preset, never of a file of its name", async () => {
  expect((await publishedAccuracies("reference"))?.text).toBe(
    await readFile("results/reference/accuracy.csv", "utf8"),
  );
  for (const none of ["standard", "reference.yaml", "../reference", "runs"])
    expect(await publishedAccuracies(none), none).toBeUndefined();
});

describe("a wrong matrix file gets the place, what is wrong, and what is accepted:", () => {
  test.each([
    [
      "an unknown key",
      edited("momentum:", "momentun:"),
      /my\.yaml:\d+:\d+: Unknown key "momentun". Did you mean "momentum"/,
    ],
    [
      "a wrong type",
      edited("seeds: 1", "seeds: many"),
      /my\.yaml:\d+:\d+: seeds: .*expected number/,
    ],
    [
      "a number out of range",
      edited("weights: 4", "weights: 17"),
      /my\.yaml:\d+:\d+: cells\.0\.bits\.0\.weights: .*<=16/,
    ],
    ["a missing key", edited(/^dataset:.*$/m, ""), /my\.yaml:\d+:\d+: dataset: .*expected string/],
    [
      "an unknown key of own images",
      edited(/^dataset:.*$/m, "dataset: { path: images, preprocesing: { mean: [0.5] } }"),
      /my\.yaml:\d+:\d+: Unknown key "preprocesing". Did you mean "preprocessing"/,
    ],
    [
      "an unknown key of their preprocessing",
      edited(/^dataset:.*$/m, "dataset: { path: images, preprocessing: { meen: [0.5] } }"),
      /my\.yaml:\d+:\d+: Unknown key "meen". Did you mean "mean"/,
    ],
    [
      "an unknown key of a model",
      edited(/- \{ name: resnet8[^}]*\}/, "- { fil: net.onnx }"),
      /my\.yaml:\d+:\d+: Unknown key "fil". Did you mean "file"/,
    ],
    [
      "an unknown algorithm",
      edited("[lsq, minMax]", "[lqs, minMax]"),
      /my\.yaml:\d+:\d+: Unknown algorithm "lqs"\. Did you mean "lsq"\? Known: .*logarithmic, lsq, lsqMqbench/,
    ],
    [
      "an unknown engine",
      edited(/^engine: \w+/m, "engine: portabel"),
      /my\.yaml:\d+:\d+: engine: .*"onnxruntime"\|"portable"/,
    ],
    ["an unknown model", edited("resnet8", "resnet9"), /Unknown model "resnet9"/],
    ["an unknown data set", edited("fashionMnist", "fashion"), /Unknown dataset "fashion"/],
    ["broken YAML", edited("title:", "title: ["), /my\.yaml: /],
  ])("%s", (_, parse, message) => {
    expect(parse).toThrow(message);
  });

  test("an unknown preset and a missing file", async () => {
    await expect(loadMatrix("quik")).rejects.toThrow(
      /Unknown matrix "quik"\. Did you mean "quick"/,
    );
    await expect(loadMatrix("none.yaml")).rejects.toThrow(/cannot read the matrix file none\.yaml/);
  });
});

test("lookup suggests near names only", () => {
  const entries = [{ name: "tensorrt" }, { name: "snpe" }];
  expect(() => lookup("backend", "tensort", entries)).toThrow('Did you mean "tensorrt"?');
  expect(() => lookup("backend", "xyzabc", entries)).toThrow(
    /^Unknown backend "xyzabc"\. Known: snpe, tensorrt\.$/,
  );
});

test("an unknown observer of a variant is named with its place", () => {
  const text = quick.replace(
    "bits: [{ weights: 8, activations: 16 }]",
    `bits: [{ weights: 8, activations: 16 }]
    variants: [{ initialization: { weights: norms, activations: mse } }]`,
  );
  expect(() => parseMatrix(text, "my.yaml")).toThrow(
    /my\.yaml:\d+:\d+: Unknown observer "norms"\. Did you mean "norm"/,
  );
});

test("a batch norm strategy that does not exist is refused", () => {
  const text = quick.replace(
    "bits: [{ weights: 8, activations: 16 }]",
    "bits: [{ weights: 8, activations: 16 }]\n    variants: [{ batchNorm: 5 }]",
  );
  expect(() => parseMatrix(text, "my.yaml")).toThrow(/cells\.\d\.variants\.0\.batchNorm/);
});
