import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { deserialize, serialize } from "node:v8";
import {
  decodeSafetensors,
  encodeSafetensors,
  float32,
  type HostTensor,
  type HostTensors,
} from "../../pipelines/engine/index.js";
import type { SearchState } from "../../pipelines/quantize/index.js";
import type { BatchPosition, TrainingState } from "../../pipelines/train/index.js";
import { writeAtomically } from "../../results/writeAtomically.js";

/** Seconds of work that a stop may cost at most, where writing is fast. */
const EVERY_SECONDS = 5;
/** Where it is not: so many times as much work as writing. */
const WORK_FOR_WRITING = 50;

/** Work that is kept in a file while it goes on. */
interface Kept<State> {
  readonly found: State | undefined;
  keep(state: () => State): Promise<void>;
  /** Writes what it was told to keep last, for whoever goes on from there. */
  keepLast(): Promise<void>;
  /** Removes the file, when the work has ended. */
  forget(): Promise<void>;
}
export type KeptTraining = Kept<TrainingState>;

/** How a state becomes a file that says what is wrong with it. */
interface Form<State> {
  readonly encode: (state: State, key: string) => Uint8Array;
  /** @throws Error for a file that is not whole, or is of other work */
  readonly decode: (file: Uint8Array, key: string) => State;
}

/**
 * Looks for the state of a training that was stopped, and keeps it from now on.
 *
 * @param key names the training: the state of another one is not taken for it
 * @param onDamage told why a state that was found is of no use; the training then starts anew
 */
export const keptTraining = (
  path: string,
  key: string,
  onDamage: (reason: string) => void,
): Promise<Kept<TrainingState>> =>
  keptWork(path, { key, encode: encodeState, decode: decodeState }, onDamage);

/** The same for a search of bits. */
export const keptSearch = (
  path: string,
  key: string,
  onDamage: (reason: string) => void,
): Promise<Kept<SearchState>> =>
  keptWork(path, { key, encode: encodeSearch, decode: decodeSearch }, onDamage);

async function keptWork<State>(
  path: string,
  { key, encode, decode }: Form<State> & { readonly key: string },
  onDamage: (reason: string) => void,
): Promise<Kept<State>> {
  const file = await readFile(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  });
  let nextMs = performance.now() + 1000 * EVERY_SECONDS;
  let last: (() => State) | undefined;
  return {
    found: file && readable(() => decode(file, key), onDamage),
    async keep(state) {
      last = state;
      const start = performance.now();
      if (start < nextMs) return;
      await writeAtomically(path, encode(state(), key));
      const end = performance.now();
      nextMs = end + Math.max(1000 * EVERY_SECONDS, WORK_FOR_WRITING * (end - start));
    },
    async keepLast() {
      if (last !== undefined) await writeAtomically(path, encode(last(), key));
    },
    forget: () => rm(path, { force: true }),
  };
}

const DIGEST_BYTES = 32;
const digest = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();

/** SHA-256 of all that follows, then tensors and the rest in the safetensors format. */
export function encodeState(state: TrainingState, key: string): Uint8Array {
  const { step, losses, accuracies, tensors, momenta, next } = state;
  const prefixed = (prefix: string, group: HostTensors): HostTensors =>
    Object.fromEntries(Object.entries(group).map(([name, tensor]) => [prefix + name, tensor]));
  const content = encodeSafetensors(
    {
      losses: float32(losses, [losses.length]),
      accuracies: float32(accuracies, [accuracies.length]),
      ...prefixed("tensor/", tensors),
      ...Object.fromEntries(
        [...momenta].flatMap(([phase, group]) =>
          Object.entries(prefixed(`momenta ${String(phase)}/`, group)),
        ),
      ),
    },
    {
      key,
      step: String(step),
      next: JSON.stringify(next),
      phases: JSON.stringify([...momenta.keys()]),
    },
  );
  return checked(content);
}

function checked(content: Uint8Array): Uint8Array {
  const file = new Uint8Array(DIGEST_BYTES + content.length);
  file.set(digest(content));
  file.set(content, DIGEST_BYTES);
  return file;
}

/** @throws Error when the checksum is another one */
function contentOf(file: Uint8Array): Uint8Array {
  const content = file.subarray(DIGEST_BYTES);
  if (!Buffer.from(digest(content)).equals(file.subarray(0, DIGEST_BYTES)))
    throw new Error("its checksum is wrong");
  return content;
}

/** @throws Error saying what is wrong with a file that is not whole, or is of another training */
export function decodeState(file: Uint8Array, key: string): TrainingState {
  const { tensors, metadata } = decodeSafetensors(contentOf(file));
  if (metadata["key"] !== key) throw new Error("it is of another training");
  const { losses, accuracies } = tensors;
  const group = (prefix: string): HostTensors =>
    Object.fromEntries(
      Object.entries(tensors).flatMap(([name, tensor]) =>
        name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : [],
      ),
    );
  const phases = JSON.parse(metadata["phases"] ?? "[]") as number[];
  return {
    step: Number(metadata["step"]),
    losses: values(losses),
    accuracies: values(accuracies),
    tensors: group("tensor/"),
    momenta: new Map(phases.map((phase) => [phase, group(`momenta ${String(phase)}/`)])),
    next: JSON.parse(metadata["next"] ?? "{}") as BatchPosition,
  };
}

function values(tensor: HostTensor | undefined): Float32Array {
  if (!(tensor?.data instanceof Float32Array)) throw new Error("it holds no losses");
  return tensor.data;
}

function readable<State>(decode: () => State, onDamage: (reason: string) => void) {
  try {
    return decode();
  } catch (error) {
    onDamage(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

/** SHA-256 of all that follows, then key and state as Node.js writes data down, which loses no bit. */
export function encodeSearch(state: SearchState, key: string): Uint8Array {
  return checked(serialize({ key, state }));
}

/** @throws Error saying what is wrong with a file that is not whole, or is of another search */
export function decodeSearch(file: Uint8Array, key: string): SearchState {
  const content = deserialize(contentOf(file)) as { key: string; state: SearchState };
  if (content.key !== key) throw new Error("it is of another search");
  return content.state;
}
