import { fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { ModelProtoSchema } from "onnx-buf";
import { choices, frozenNetwork } from "../frozenNetwork.js";
import * as ort from "../../../pipelines/onnxruntime.js";
import { describe, expect, test } from "vitest";
import { academic } from "../../../backends/academic.js";
import { backends } from "../../../backends/index.js";
import { nnie as nnieProfile } from "../../../backends/nnie.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { snpe as snpeProfile } from "../../../backends/snpe.js";
import { tensorrt as tensorrtProfile } from "../../../backends/tensorrt.js";
import { mobileNetV2, resnet8 } from "../../../benchmarks/models/index.js";
import {
  artefactFormats,
  writeArtefact,
  type ArtefactFormat,
} from "../../../pipelines/export/artefacts/index.js";
import { nnie } from "../../../pipelines/export/artefacts/nnie.js";
import { onnx, onnxInt4 } from "../../../pipelines/export/artefacts/onnx.js";
import { openvino } from "../../../pipelines/export/artefacts/openvino.js";
import { qlinear } from "../../../pipelines/export/artefacts/qlinear.js";
import { snpe } from "../../../pipelines/export/artefacts/snpe.js";
import { tengine } from "../../../pipelines/export/artefacts/tengine.js";
import { tensorrt } from "../../../pipelines/export/artefacts/tensorrt.js";
import { textOf } from "../../../pipelines/export/artefacts/artefact.js";

describe("every quantizer survives in, or is refused with a reason by,", () => {
  test.each(artefactFormats)("$name", (format) => {
    let written = 0;
    fc.assert(
      fc.property(choices, (choice) => {
        try {
          // Writing reads back and compares each quantizer.
          writeArtefact(format, frozenNetwork(choice), "network");
          written++;
        } catch (error) {
          expect((error as Error).message).toMatch(/cannot hold ".*": |has one quantizer for each/);
        }
      }),
      { numRuns: 60, seed: 1 },
    );
    // At the profile and width that the format is for, nothing is refused.
    const [name] = format.backends;
    const profile = backends.find((backend) => backend.name === name);
    expect(profile).toBeDefined();
    if (profile !== undefined)
      writeArtefact(
        format,
        frozenNetwork({ profile, bits: 8, seed: 3, model: resnet8 }),
        "network",
      );
    expect(written).toBeGreaterThan(0);
  });
});

test("a reader that sees other numbers is an error that names the tensor", () => {
  const broken: ArtefactFormat = {
    ...snpe,
    read: (files) => {
      const found = new Map(snpe.read(files));
      const image = found.get("image");
      if (image !== undefined) found.set("image", { ...image, levels: 255 });
      return found;
    },
  };
  const frozen = frozenNetwork({ profile: snpeProfile, bits: 8, seed: 1, model: resnet8 });
  expect(() => writeArtefact(broken, frozen, "network")).toThrow(
    /changed the quantizer of "image"/,
  );
});

describe("what would be lost is refused:", () => {
  test("four bits by TensorRT's ranges, which stand for eight", () => {
    const frozen = frozenNetwork({ profile: tensorrtProfile, bits: 4, seed: 1, model: resnet8 });
    expect(() => writeArtefact(tensorrt, frozen, "n")).toThrow(/stands for 8 bits, and this has 4/);
  });
  test("signed integers by Tengine's table", () => {
    const frozen = frozenNetwork({ profile: tensorrtProfile, bits: 8, seed: 1, model: resnet8 });
    expect(() => writeArtefact(tengine, frozen, "n")).toThrow(/unsigned integers/);
  });
  test("uniform levels by NNIE", () => {
    const frozen = frozenNetwork({ profile: tensorrtProfile, bits: 8, seed: 1, model: resnet8 });
    expect(() => writeArtefact(nnie, frozen, "n")).toThrow(/logarithmic levels only/);
    const right = frozenNetwork({ profile: nnieProfile, bits: 8, seed: 1, model: resnet8 });
    expect(writeArtefact(nnie, right, "n").size).toBe(2);
  });
});

test("a sum that is added in float has no QLinear operator", () => {
  const frozen = frozenNetwork({ profile: tensorrtProfile, bits: 8, seed: 1, model: resnet8 });
  expect(() => writeArtefact(qlinear, frozen, "n")).toThrow(/sums are needed in real numbers/);
});

test("SNPE's encodings name what the float file beside them holds, where layers have no bias too", () => {
  const frozen = frozenNetwork({ profile: snpeProfile, bits: 8, seed: 1, model: resnet8 });
  const biases = new Map(frozen.biases);
  expect(biases.delete("s0.0.a")).toBe(true);
  const files = writeArtefact(snpe, { ...frozen, biases }, "n");
  const table = JSON.parse(textOf(files, ".json")) as { param_encodings: Record<string, unknown> };
  const model = fromBinary(ModelProtoSchema, files.get("n.float.onnx") ?? new Uint8Array());
  const named = Object.keys(table.param_encodings);
  expect(named.length).toBeGreaterThan(10);
  const held = model.graph?.initializer.map(({ name }) => name) ?? [];
  expect(named.filter((name) => !held.includes(name))).toEqual([]);
});

test("SNPE gets encodings of weights and biases too, a bias in steps of its accumulator", () => {
  const frozen = frozenNetwork({ profile: snpeProfile, bits: 8, seed: 1, model: resnet8 });
  const table = JSON.parse(textOf(writeArtefact(snpe, frozen, "n"), ".json")) as {
    activation_encodings: Record<string, unknown>;
    param_encodings: Record<string, { scale: number; bitwidth: number }[]>;
  };
  const [weight] = table.param_encodings["s0.0.a/kernel"] ?? [];
  const [bias] = table.param_encodings["s0.0.a bias"] ?? [];
  const input = frozen.activations.get("stem.relu/output");
  expect(weight?.bitwidth).toBe(8);
  expect(bias?.bitwidth).toBe(32);
  if (input === undefined || !("scale" in input)) throw new Error("no grid");
  expect(bias?.scale).toBeCloseTo((weight?.scale ?? NaN) * (input.scale[0] ?? NaN), 9);
});

describe("models that run on onnxruntime give the same logits as the plain export:", () => {
  const run = async (files: ReadonlyMap<string, Uint8Array>) => {
    const [model = new Uint8Array()] = files.values();
    const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
    const image = new ort.Tensor(
      "float32",
      Float32Array.from({ length: 128 }, (_, i) => Math.sin(i)),
      [2, 1, 8, 8],
    );
    const { logits } = await session.run({ image });
    await session.release();
    return [...(logits?.data as Float32Array)];
  };

  test.each([
    [8, resnet8],
    [4, mobileNetV2],
  ] as const)("QLinear operators, %i bits", async (bits, model) => {
    const frozen = frozenNetwork({ profile: onnxruntime, bits, seed: 2, model });
    const expected = await run(writeArtefact(onnx, frozen, "n"));
    const found = await run(writeArtefact(qlinear, frozen, "n"));
    found.forEach((logit, i) => {
      expect(logit).toBeCloseTo(expected[i] ?? NaN, 3);
    });
  });

  test("4-bit weights, in half the bytes", async () => {
    const frozen = frozenNetwork({ profile: onnxruntime, bits: 4, seed: 2, model: resnet8 });
    const [plain, packed] = [
      writeArtefact(onnx, frozen, "n"),
      writeArtefact(onnxInt4, frozen, "n"),
    ];
    const [expected, found] = [await run(plain), await run(packed)];
    found.forEach((logit, i) => {
      expect(logit).toBeCloseTo(expected[i] ?? NaN, 3);
    });
    const sizes = [plain, packed].map((files) => [...files.values()][0]?.length ?? 0);
    expect(sizes[1]).toBeLessThan(sizes[0] ?? 0);
  });
});

test("OpenVINO's model keeps float biases and the clip of ReLU6", () => {
  const frozen = frozenNetwork({ profile: academic, bits: 8, seed: 2, model: mobileNetV2 });
  const [model = new Uint8Array()] = writeArtefact(openvino, frozen, "n").values();
  const text = Buffer.from(model).toString("latin1");
  expect(text).toContain("org.openvinotoolkit");
  expect(text).toContain("Clip");
  expect(text).not.toContain("DequantizeLinear");
});
