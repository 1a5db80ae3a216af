import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import * as ort from "../../../pipelines/onnxruntime.js";
import { describe, expect, test } from "vitest";
import { withInputs } from "../../../pipelines/network/index.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { snpe as snpeProfile } from "../../../backends/snpe.js";
import { resnet8 } from "../../../benchmarks/models/index.js";
import { infer, loadModel } from "../../../pipelines/deploy/index.js";
import {
  artefactFormats,
  exportIntegers,
  exportOnnx,
  exportTflite,
  exposedName,
  NoForm,
  readTflite,
  writeArtefact,
} from "../../../pipelines/export/index.js";
import { snpe } from "../../../pipelines/export/artefacts/snpe.js";
import { exportQLinear } from "../../../pipelines/export/qlinear/exportQLinear.js";
import type { FrozenNetwork } from "../../../pipelines/freeze/index.js";
import { frozenNetwork } from "../frozenNetwork.js";

const plain = frozenNetwork({ profile: onnxruntime, bits: 4, seed: 3, model: resnet8 });
/** Nodes of the network, quantizers aside. */
const nodes = plain.network.nodes.filter(({ op }) => op !== "quantize").map(({ name }) => name);

/** The network under other names. */
function renamed(frozen: FrozenNetwork, names: ReadonlyMap<string, string>): FrozenNetwork {
  const rename = (id: string): string => {
    const slash = id.indexOf("/");
    const node = slash < 0 ? id : id.slice(0, slash);
    return (names.get(node) ?? node) + (slash < 0 ? "" : id.slice(slash));
  };
  const keys = <T>(map: ReadonlyMap<string, T>) =>
    new Map([...map].map(([key, value]) => [rename(key), value] as const));
  return {
    ...frozen,
    network: {
      nodes: frozen.network.nodes.map((node) => ({
        ...withInputs(node, rename),
        name: rename(node.name),
      })),
    },
    sites: frozen.sites.map((site) => ({ ...site, id: rename(site.id) })),
    weights: keys(frozen.weights),
    activations: keys(frozen.activations),
    biases: keys(frozen.biases),
  };
}

/** `taken` for the first nodes behind the image, `last` for the last one. */
const withNames = (
  image: string,
  taken: readonly string[],
  last: string,
  of: FrozenNetwork = plain,
): FrozenNetwork =>
  renamed(
    of,
    new Map(
      nodes.map((name, i) => {
        if (i === 0) return [name, image];
        return [name, i === nodes.length - 1 ? last : (taken[i - 1] ?? name)];
      }),
    ),
  );

const automatic = Array.from({ length: 12 }, (_, i) => [`v${String(i)}`, `c${String(i)}`]).flat();
const networks: readonly [string, FrozenNetwork][] = [
  ["names that graphs make up", withNames("image", automatic, "c20")],
  ["the output's name at the end", withNames("image", ["c1", "v0"], "logits")],
  ["the output's name in between", withNames("image", ["a", "logits", "logits_"], "v1")],
  ["the input's name elsewhere", withNames("data", ["a", "image", "image_"], "v1")],
];
/** Which no imported network has, since its names have no spaces and slashes. */
const unusual: readonly [string, FrozenNetwork][] = [
  [
    "names of a layer's constants",
    withNames("image", ["a", "a bias", "a/kernel", "a/kernel codes", "a/kernel values"], "v1"),
  ],
  [
    "names of exposed values and bounds",
    withNames("image", ["a", "image/output exposed", "image/output maximum", "b pads"], "v1"),
  ],
];

const { arithmetic } = onnxruntime;
const forms: readonly [string, (frozen: FrozenNetwork) => Uint8Array][] = [
  ["quantizers", (frozen) => exportOnnx(frozen, "n", { exposeSites: true })],
  ["packed weights", (frozen) => exportOnnx(frozen, "n", { packWeights: true })],
  ["integers", (frozen) => exportIntegers(frozen, "n", arithmetic, { exposeSites: true })],
  ["QLinear operators", (frozen) => exportQLinear(frozen, "n")],
];

const images = new ort.Tensor(
  "float32",
  Float32Array.from({ length: 256 }, (_, i) => Math.sin(i)),
  [4, 1, 8, 8],
);
async function logitsOf(bytes: Uint8Array): Promise<Float32Array> {
  const session = await loadModel(bytes, "preciseUnsigned");
  const logits = await infer(session, images);
  await session.release();
  return logits;
}

/** Names of everything that a graph computes or holds. */
function valueNames(bytes: Uint8Array): string[] {
  const { graph } = fromBinary(ModelProtoSchema, bytes);
  return [
    ...(graph?.input ?? []).map(({ name }) => name),
    ...(graph?.initializer ?? []).map(({ name }) => name),
    ...(graph?.node ?? []).flatMap(({ output }) => output),
  ];
}

describe.each([...networks, ...unusual])("a network whose nodes have %s", (_, frozen) => {
  test.each(forms)("computes the same in %s", async (__, write) => {
    expect(await logitsOf(write(frozen))).toEqual(await logitsOf(write(plain)));
  });

  test("has one value for each name, also with FakeQuantize and in TensorFlow Lite", () => {
    for (const bytes of [
      ...forms.map(([, write]) => write(frozen)),
      exportOnnx(frozen, "n", { quantizers: "fakeQuantize", exposeSites: true }),
    ])
      expect(new Set(valueNames(bytes)).size).toBe(valueNames(bytes).length);
    const { tensors } = readTflite(exportTflite(frozen, "n").bytes);
    expect(new Set(tensors.map(({ name }) => name)).size).toBe(tensors.length);
  });

  test("shows its quantized values", async () => {
    const session = await loadModel(
      exportOnnx(frozen, "n", { exposeSites: true }),
      "preciseUnsigned",
    );
    for (const { id, role } of frozen.sites)
      if (role === "activation")
        expect(session.outputNames).toContain(exposedName(frozen.network, id));
    await session.release();
  });
});

test.each(networks)("artefacts of a network whose nodes have %s", (_, frozen) => {
  const written = (network: FrozenNetwork) =>
    artefactFormats.map((format) => {
      try {
        return writeArtefact(format, network, "n").size;
      } catch (error) {
        return (error as Error).message.replace(/".*"/, "");
      }
    });
  expect(written(frozen)).toEqual(written(plain));
});

test.each([
  ["usual names", "image", [], "classifier"],
  ["names of inputs and constants", "data", ["a", "a bias", "a/kernel", "image"], "logits"],
] as const)("tables of %s name tensors of the model beside them", (_, image, taken, last) => {
  const given = frozenNetwork({ profile: snpeProfile, bits: 8, seed: 3, model: resnet8 });
  const frozen = withNames(image, taken, last, given);
  const files = writeArtefact(snpe, frozen, "n");
  const model = valueNames(files.get("n.float.onnx") ?? new Uint8Array());
  const named = [...snpe.read(files).keys()];
  expect(named.filter((name) => !model.includes(name))).toEqual([]);
  expect(named).toHaveLength(new Set(named).size);
  // Every layer has a bias in the table besides.
  const layers = frozen.sites.filter(({ role }) => role === "weight").length;
  expect(named.length).toBe(frozen.sites.length + layers);
});

describe("a form without an operator says which and where:", () => {
  const sigmoid: FrozenNetwork = {
    ...plain,
    network: {
      nodes: plain.network.nodes.flatMap((node) => [
        node,
        ...(node.name === "image/output"
          ? [
              {
                op: "float",
                name: "x",
                inputs: [node.name],
                operation: { kind: "sigmoid" },
              } as const,
            ]
          : []),
      ]),
    },
  };
  test.each<[string, (frozen: FrozenNetwork) => unknown, string]>([
    [
      "QLinear operators",
      (frozen) => exportQLinear(frozen, "n"),
      'QLinear operators cannot hold "x": sigmoid has no QLinear operator',
    ],
    [
      "TensorFlow Lite",
      (frozen) => exportTflite(frozen, "n"),
      'TensorFlow Lite cannot hold "x": sigmoid has no form here yet',
    ],
  ])("%s", (_, write, message) => {
    expect(() => write(sigmoid)).toThrow(new NoForm(message));
  });
});

test("usual names stay as they are", async () => {
  const session = await loadModel(exportOnnx(plain, "n", { exposeSites: true }), "preciseUnsigned");
  expect(session.inputNames).toEqual(["image"]);
  expect(session.outputNames.slice(0, 2)).toEqual(["logits", "image/output exposed"]);
  await session.release();
});

test("an output has its own node's name, not an added one", async () => {
  const session = await loadModel(exportOnnx(withNames("image", [], "logits"), "n"), "shipped");
  expect(session.outputNames).toEqual(["logits"]);
  await session.release();
});
