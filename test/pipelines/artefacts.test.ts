import fc from "fast-check";
import * as ort from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { rangeOf } from "../../algorithms/affine.js";
import type { QuantizerSite } from "../../algorithms/algorithm.js";
import { academic } from "../../backends/academic.js";
import type { BackendProfile } from "../../backends/backend.js";
import { backends } from "../../backends/index.js";
import { nnie as nnieProfile } from "../../backends/nnie.js";
import { onnxruntime } from "../../backends/onnxruntime.js";
import { snpe as snpeProfile } from "../../backends/snpe.js";
import { tensorrt as tensorrtProfile } from "../../backends/tensorrt.js";
import { mobileNetV2 } from "../../benchmarks/models/mobileNetV2.js";
import { resnet8 } from "../../benchmarks/models/resnet8.js";
import {
  artefactFormats,
  writeArtefact,
  type ArtefactFormat,
} from "../../pipelines/artefacts/index.js";
import { nnie } from "../../pipelines/artefacts/nnie.js";
import { onnx, onnxInt4 } from "../../pipelines/artefacts/onnx.js";
import { openvino } from "../../pipelines/artefacts/openvino.js";
import { snpe } from "../../pipelines/artefacts/snpe.js";
import { tengine } from "../../pipelines/artefacts/tengine.js";
import { tensorrt } from "../../pipelines/artefacts/tensorrt.js";
import { textOf } from "../../pipelines/artefacts/artefact.js";
import type { FrozenLevels, FrozenNetwork, FrozenWeight } from "../../pipelines/freeze.js";
import { foldBatchNorm } from "../../pipelines/network/foldBatchNorm.js";
import { featureShapes, isLayer, parameterSpecs } from "../../pipelines/network/network.js";
import { placeQuantizers } from "../../pipelines/network/placeQuantizers.js";
import { randomStream } from "../../pipelines/random.js";

interface Choice {
  readonly profile: BackendProfile;
  readonly bits: number;
  readonly seed: number;
  readonly model: typeof resnet8 | typeof mobileNetV2;
}

/** A network with random integers and grids, as training could have left it. */
function frozenNetwork({ profile, bits, seed, model }: Choice): FrozenNetwork {
  const random = randomStream(seed, "artefact");
  const float = model.build({ inputShape: [8, 8, 1], classes: 4, width: 4 });
  const folded = foldBatchNorm(float, 1);
  const { network, sites } = placeQuantizers(folded, profile, {
    weights: Math.max(bits, profile.bitWidths.weights.min),
    activations: Math.max(bits, profile.bitWidths.activations.min),
  });
  const scales = new Map<string, FrozenLevels>();
  const levelsFor = (site: QuantizerSite, count: number): FrozenLevels => {
    if (site.scheme.levels === "logarithmic") return logarithmicLevels(4 * random.uniform() + 0.1);
    const { quantMin, quantMax } = rangeOf(site);
    const exponent = () => -2 - random.integer(6);
    const scale = Float32Array.from({ length: count }, () =>
      site.scheme.scaleForm === "powerOfTwo" ? 2 ** exponent() : 0.01 + random.uniform() / 10,
    );
    const zeroPoint = Float32Array.from({ length: count }, () =>
      site.scheme.symmetric
        ? 0
        : quantMin + (site.nonNegative ? 0 : random.integer(quantMax - quantMin + 1)),
    );
    return { scale, zeroPoint };
  };
  const weights = new Map<string, FrozenWeight>();
  const specs = parameterSpecs(network);
  for (const site of sites) {
    const channels = site.shape[site.channelAxis] ?? 1;
    const perChannel = site.role === "weight" && site.scheme.granularity === "perChannel";
    const levels = levelsFor(site, perChannel ? channels : 1);
    if (site.role === "activation") {
      // What reads the same tensor has the same quantizer: tables have one for each.
      const node = network.nodes.find(({ name }) => name === site.id);
      const tensor = node?.op === "quantize" ? node.input : site.id;
      const known = scales.get(tensor) ?? levels;
      scales.set(tensor, known);
      scales.set(site.id, known);
      continue;
    }
    const size = (specs.get(site.id)?.shape ?? []).reduce((a, b) => a * b, 1);
    const { quantMin: from, quantMax: to } =
      "levels" in levels ? { quantMin: 0, quantMax: levels.levels.length - 1 } : rangeOf(site);
    const codes = Int32Array.from({ length: size }, () => from + random.integer(to - from + 1));
    weights.set(site.id, { on: levels, codes });
  }
  const shapes = featureShapes(network);
  const biases = new Map(
    network.nodes
      .filter(isLayer)
      .map(({ name }) => [
        name,
        Float32Array.from({ length: shapes.get(name)?.at(-1) ?? 1 }, () => random.uniform() - 0.5),
      ]),
  );
  const activations = new Map(
    sites
      .filter(({ role }) => role === "activation")
      .map(({ id }) => [id, scales.get(id) as FrozenLevels]),
  );
  return {
    network,
    sites,
    kernels: new Map(),
    weights,
    activations,
    biases,
    batchNorms: new Map(),
    floats: {},
  };
}

/** NNIE's: 128 magnitudes, sixteen to the octave (MQBench toolkit). */
function logarithmicLevels(limit: number): FrozenLevels {
  const lowest = Math.round(16 * Math.log2(limit)) - 127;
  const positive = Array.from({ length: 128 }, (_, code) => 2 ** ((code + lowest) / 16));
  const levels = Float32Array.from([
    ...positive
      .slice(1)
      .map((v) => -v)
      .reverse(),
    0,
    ...positive,
  ]);
  const thresholds = levels.slice(1).map((level, i) => (level + (levels[i] ?? 0)) / 2);
  return { levels, thresholds };
}

const choices = fc.record({
  profile: fc.constantFrom(...backends),
  bits: fc.integer({ min: 2, max: 8 }),
  seed: fc.integer(),
  model: fc.constantFrom(resnet8, mobileNetV2),
});

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
