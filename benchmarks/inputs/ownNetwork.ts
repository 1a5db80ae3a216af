import { createHash } from "node:crypto";
import { readFileSync, realpathSync, statSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, resolve, sep } from "node:path";
import * as ort from "onnxruntime-node";
import { loadModel, infer } from "../../pipelines/deploy/index.js";
import { SESSION_OPTIONS } from "../../pipelines/session.js";
import {
  decodeSafetensors,
  encodeSafetensors,
  type HostTensors,
  randomStream,
} from "../../pipelines/engine/index.js";
import { exportOnnx } from "../../pipelines/export/index.js";
import { freezeFloat } from "../../pipelines/freeze/index.js";
import {
  type ImportedNetwork,
  importOnnx,
  type ReadExternal,
} from "../../pipelines/import/index.js";
import type { FeatureShape, Network } from "../../algorithms/network.js";
import { canonicalHash } from "../../results/canonicalHash.js";
import { makeDirectory } from "../../results/makeDirectory.js";
import { writeAtomically } from "../../results/writeAtomically.js";

/** A network that a user brought, as a run works with it. */
export interface OwnNetwork {
  /** The name of its file. */
  readonly name: string;
  readonly network: Network;
  readonly parameters: HostTensors;
  readonly classes: number;
  /** Over the network and its parameters: part of every cell's identity. */
  readonly checksum: string;
}

/** Networks that this process has read, by checksum: what a cell's configuration names. */
const known = new Map<string, OwnNetwork>();

/** @throws Error when the network was not read before */
export function ownNetwork(checksum: string): OwnNetwork {
  const found = known.get(checksum);
  if (found === undefined) throw new Error(`the network ${checksum} was not loaded`);
  return found;
}

const MAX_FILE_BYTES = 2 ** 31 - 1; // what a protocol buffer can hold

/**
 * Reads an ONNX file and checks that it computes here what it computes in onnxruntime.
 *
 * @param imageShape [height, width, channels] of the data set
 * @throws Error naming the file and what is wrong or not supported
 */
export async function readOwnNetwork(path: string, imageShape: FeatureShape): Promise<OwnNetwork> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) throw new Error(`has ${String(size)} bytes; 2 GiB are accepted`);
    const bytes = await readFile(path);
    const imported = importOnnx(bytes, { imageShape, readExternal: readBeside(path) });
    await compareWithOriginal(path, imported, imageShape);
    return remember({
      name:
        basename(path)
          .replace(/\.onnx$/, "")
          .replace(/[^\w.-]+/g, "-") || "network",
      network: imported.network,
      parameters: imported.parameters,
      classes: imported.classes,
      checksum: checksumOf(imported),
    });
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`${path}: ${message}`, { cause: error });
  }
}

function remember(own: OwnNetwork): OwnNetwork {
  known.set(own.checksum, own);
  return own;
}

function checksumOf({ network, parameters }: Pick<OwnNetwork, "network" | "parameters">): string {
  const hash = createHash("sha256").update(canonicalHash(network));
  for (const [name, { shape, data }] of Object.entries(parameters).sort(([a], [b]) =>
    a < b ? -1 : 1,
  )) {
    hash.update(`${name} [${shape.join()}]\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest("hex");
}

/** Files that a model may read: those in its own folder, wherever links lead. */
function readBeside(model: string): ReadExternal {
  const folder = realpathSync(dirname(resolve(model)));
  return (location, offset, length) => {
    const inside = (path: string) => path.startsWith(folder + sep);
    const wanted = resolve(folder, location);
    if (location === "" || isAbsolute(location) || !inside(wanted))
      throw new Error(`refers to weights in "${location}", which is not in its folder`);
    const real = (() => {
      try {
        return realpathSync(wanted);
      } catch {
        throw new Error(`refers to weights in "${location}", which does not exist`);
      }
    })();
    if (!inside(real)) throw new Error(`refers to weights in "${location}", which leads elsewhere`);
    const { size } = statSync(real);
    const end = length === undefined ? size : offset + length;
    if (end > size || size > MAX_FILE_BYTES)
      throw new Error(
        `refers to bytes ${String(offset)} to ${String(end)} of "${location}", which has ${String(size)}`,
      );
    return readFileSync(real).subarray(offset, end);
  };
}

const COMPARED_IMAGES = 4;
/** Of the largest score: float32 sums in another order. */
const TOLERANCE = 1e-4;

/** @throws Error when the imported network gives other scores than the original */
async function compareWithOriginal(
  path: string,
  { network, parameters, input, output, endedWithSoftmax }: ImportedNetwork,
  shape: FeatureShape,
): Promise<void> {
  const random = randomStream(0, "imported network");
  const [height = 1, width = 1, channels = 1] = shape;
  const here = await loadModel(exportOnnx(freezeFloat(network, parameters), "imported"));
  const original = await ort.InferenceSession.create(path, SESSION_OPTIONS);
  try {
    for (let image = 0; image < COMPARED_IMAGES; image++) {
      const pixels = Float32Array.from(
        { length: height * width * channels },
        () => 2 * random.uniform() - 1,
      );
      const tensor = (data: Float32Array, layout: "NCHW" | "NHWC") =>
        new ort.Tensor(
          "float32",
          data,
          layout === "NCHW" ? [1, channels, height, width] : [1, height, width, channels],
        );
      const logits = await infer(here, tensor(pixels, "NCHW"));
      const given =
        input.layout === "NCHW" ? pixels : channelsLast(pixels, { height, width, channels });
      const results = await original.run({ [input.name]: tensor(given, input.layout) });
      const expected = results[output]?.data as Float32Array;
      const found = endedWithSoftmax ? softmax(logits) : logits;
      const reach = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
      const wrong = found.findIndex(
        (value, i) => !(Math.abs(value - (expected[i] ?? NaN)) <= TOLERANCE * reach),
      );
      if (wrong >= 0 || found.length !== expected.length)
        throw new Error(
          `the imported network gives score ${String(found[wrong])} where the original gives ${String(expected[wrong])}; please report this`,
        );
    }
  } finally {
    await here.release();
    await original.release();
  }
}

function channelsLast(
  pixels: Float32Array,
  { height, width, channels }: { height: number; width: number; channels: number },
): Float32Array {
  const area = height * width;
  return Float32Array.from(
    pixels,
    (_, i) => pixels[(i % channels) * area + Math.floor(i / channels)] ?? 0,
  );
}

function softmax(logits: Float32Array): Float32Array {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const exponents = logits.map((logit) => Math.exp(logit - largest));
  const sum = exponents.reduce((a, b) => a + b, 0);
  return exponents.map((value) => value / sum);
}

const fileOf = (runDirectory: string, checksum: string): string =>
  join(runDirectory, "networks", `${checksum}.safetensors`);

/** Keeps a network with the run that uses it, so that the run can be repeated without its file. */
export async function storeOwnNetwork(runDirectory: string, own: OwnNetwork): Promise<void> {
  const file = fileOf(runDirectory, own.checksum);
  await makeDirectory(dirname(file));
  const { name, network, classes, parameters } = own;
  const metadata = { name, network: JSON.stringify(network), classes: String(classes) };
  await writeAtomically(file, encodeSafetensors(parameters, metadata));
}

/** @throws Error when the run does not hold the network, or it is damaged */
export async function loadOwnNetwork(runDirectory: string, checksum: string): Promise<OwnNetwork> {
  const found = known.get(checksum);
  if (found !== undefined) return found;
  const file = fileOf(runDirectory, checksum);
  const bytes = await readFile(file).catch((error: unknown) => {
    throw new Error(`the run lacks its network ${file}`, { cause: error });
  });
  const { tensors, metadata } = decodeSafetensors(bytes);
  const network = JSON.parse(metadata["network"] ?? "{}") as Network;
  const own = {
    name: metadata["name"] ?? "network",
    network,
    parameters: tensors,
    classes: Number(metadata["classes"]),
    checksum,
  };
  if (checksumOf(own) !== checksum) throw new Error(`${file} is damaged`);
  return remember(own);
}
