import { createHash } from "node:crypto";
import { closeSync, openSync, readSync, realpathSync, statSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, resolve, sep } from "node:path";
import {
  decodeSafetensors,
  encodeSafetensors,
  type HostTensors,
} from "../../pipelines/engine/index.js";
import {
  importOnnx,
  importTflite,
  isTflite,
  type ReadExternal,
} from "../../pipelines/import/index.js";
import type { FeatureShape, Network } from "../../algorithms/network.js";
import { canonicalHash } from "../../results/canonicalHash.js";
import { makeDirectory } from "../../results/makeDirectory.js";
import { writeAtomically } from "../../results/writeAtomically.js";
import { compareWithOriginal } from "./compareWithOriginal.js";
import { onLiteRt, onOnnxruntime } from "./originals.js";

/** A network that a user brought, as a run works with it. */
export interface OwnNetwork {
  /** The name of its file. */
  readonly name: string;
  readonly network: Network;
  readonly parameters: HostTensors;
  readonly classes: number;
  /** Over the network and its parameters: part of every cell's identity. */
  readonly checksum: string;
  /** What reading it had to convert; said once, and no part of the network. */
  readonly notes?: readonly string[];
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
 * Reads an ONNX or TensorFlow Lite file and checks that it computes here what it computes in onnxruntime or LiteRT.
 *
 * @param imageShape [height, width, channels] of the data set
 * @param output which one has the class scores, where the network has several
 * @throws Error naming the file and what is wrong or not supported
 */
export async function readOwnNetwork(
  path: string,
  imageShape: FeatureShape,
  output?: string,
): Promise<OwnNetwork> {
  try {
    const { imported, original } = await importFile(path, imageShape, output);
    await compareWithOriginal(original, imported, imageShape);
    return remember({
      name:
        basename(path)
          .replace(/\.(onnx|tflite)$/, "")
          .replace(/[^\w.-]+/g, "-") || "network",
      network: imported.network,
      parameters: imported.parameters,
      classes: imported.classes,
      checksum: checksumOf(imported),
      notes: imported.notes,
    });
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`${path}: ${message}`, { cause: error });
  }
}

/** What is in the file, which is not kept in memory while networks are compared. */
async function importFile(path: string, imageShape: FeatureShape, output: string | undefined) {
  const { size } = await stat(path);
  if (size > MAX_FILE_BYTES) throw new Error(`has ${String(size)} bytes; 2 GiB are accepted`);
  const bytes = await readFile(path);
  const options = { imageShape, ...(output !== undefined && { output }) };
  if (isTflite(bytes) || path.toLowerCase().endsWith(".tflite")) {
    const imported = importTflite(bytes, options);
    return { imported, original: onLiteRt(bytes, imported) };
  }
  const imported = importOnnx(bytes, { ...options, readExternal: readBeside(path) });
  return { imported, original: onOnnxruntime(path, imported) };
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
    return partOf(real, offset, end);
  };
}

/** The file may be much larger than the part. */
function partOf(path: string, start: number, end: number): Uint8Array {
  const file = openSync(path, "r");
  try {
    const bytes = new Uint8Array(Math.max(0, end - start));
    for (let read = 0; read < bytes.length;) {
      const more = readSync(file, bytes, read, bytes.length - read, start + read);
      if (more === 0) throw new Error(`${path} was cut off while it was read`);
      read += more;
    }
    return bytes;
  } finally {
    closeSync(file);
  }
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
