import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  cellResultSchema,
  type CellConfig,
  type CellResult,
  type Environment,
} from "../../results/schema.js";
import { cellName } from "../../results/store.js";
import { canonicalHash } from "../../results/canonicalHash.js";
import { sealed, unsealed } from "../../results/sealedJson.js";
import { compare, reproducible } from "../stored/index.js";
import { checksumOf, type Store } from "./store.js";

type Identified = { readonly id: string; readonly config: CellConfig };

export const cellKey = (cell: Identified): string => `cells/${cellName(cell)}.json`;
export const modelKey = (cell: Identified): string => `models/${cellName(cell)}.onnx`;
export const stageKey = (stage: string): string => `stages/${stage}.safetensors`;
export const networkKey = (checksum: string): string => `networks/${checksum}.safetensors`;
/** How far a training is that has not ended. */
export const unfinishedKey = (stage: string): string => `unfinished/${stage}`;

/**
 * What became of a result: it is the first; the stored one is the same in every bit that must be the
 * same; or it is another, and what is stored stays.
 */
export type Publication = "first" | "equal" | "different";

/**
 * A stored result; nothing where there is none or what is there is broken.
 *
 * @param onNote told what is broken
 */
export async function readResult(
  store: Store,
  key: string,
  onNote: (text: string) => void,
): Promise<
  { readonly result: CellResult; readonly bytes: Uint8Array; readonly origin: string } | undefined
> {
  const found = await store.get(key);
  if (found === undefined) return undefined;
  const parsed = "broken" in found ? found.broken : parseResult(found.bytes, key);
  if (typeof parsed !== "string" && "bytes" in found) return { ...found, result: parsed };
  const problem = typeof parsed === "string" ? parsed : "is broken";
  onNote(`${store.location}: ${key} ${problem}; it is computed again`);
  return undefined;
}

/** A result, or what is wrong with it. */
function parseResult(bytes: Uint8Array, key: string): CellResult | string {
  try {
    const parsed = cellResultSchema.safeParse(unsealed(key, Buffer.from(bytes).toString()));
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      return `is no result: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`;
    }
    const { id, config } = parsed.data;
    if (canonicalHash(config) !== id) return "has an id that is not the hash of its configuration";
    return cellKey(parsed.data) === key ? parsed.data : "has the name of another cell";
  } catch {
    return "is damaged";
  }
}

/**
 * Stores a cell's result. The first one stays; what failed only stays until something else came out.
 *
 * @param bytes the result as it is stored
 * @param origin the environment that computed it
 */
export async function publishResult(
  store: Store,
  {
    result,
    bytes,
    origin,
  }: { readonly result: CellResult; readonly bytes: Uint8Array; readonly origin: string },
  onNote: (text: string) => void,
): Promise<Publication> {
  const key = cellKey(result);
  if (await store.add(key, bytes, origin)) return "first";
  const stored = await readResult(store, key, onNote);
  if (stored === undefined || stored.result.state === "failed") {
    await store.replace(key, bytes, origin);
    return "first";
  }
  if (result.state === "failed") return "equal"; // elsewhere it did not fail
  const differences = compare(cellName(result), reproducible(stored.result), reproducible(result));
  if (differences.length === 0) return "equal";
  const fields = differences.map(({ field }) => field);
  await store.add(
    `disputes/${cellName(result)}--${checksumOf(bytes).slice(0, 12)}.json`,
    Buffer.from(
      `${JSON.stringify({ fields, stored: stored.origin, other: origin, result }, null, 2)}\n`,
    ),
    origin,
  );
  onNote(await describeDispute(store, key, { fields, origins: [stored.origin, origin] }));
  return "different";
}

/** Says loudly what two machines disagree about, and what they are. */
async function describeDispute(
  store: Store,
  key: string,
  { fields, origins }: { readonly fields: readonly string[]; readonly origins: readonly string[] },
): Promise<string> {
  const machines = await Promise.all(origins.map((origin) => describeOrigin(store, origin)));
  const shown = fields.slice(0, 5).join(", ");
  const more = fields.length > 5 ? ` and ${String(fields.length - 5)} more` : "";
  return (
    `DIFFERENT RESULTS for ${key}: ${shown}${more} differ between ${machines.join(" and ")}; ` +
    "the stored one stays, the other is in disputes/"
  );
}

async function describeOrigin(store: Store, origin: string): Promise<string> {
  const found = await store.get(environmentKey(origin)).catch(() => undefined); // only words
  if (found === undefined || "broken" in found) return `an unknown machine (${origin})`;
  const { cpu, cpuFeatures, node, engines } = JSON.parse(
    Buffer.from(found.bytes).toString(),
  ) as Environment;
  const versions = Object.entries(engines).map(([name, version]) => `${name} ${version}`);
  return `${cpu} (${cpuFeatures.join(" ") || "instruction sets unknown"}; Node ${node}; ${versions.join(", ")})`;
}

const environmentKey = (origin: string): string => `environments/${origin}.json`;

/** Stores what a machine is; returns the name under which results refer to it. */
export async function publishEnvironment(store: Store, environment: Environment): Promise<string> {
  const origin = canonicalHash(environment).slice(0, 16);
  const text = `${JSON.stringify(environment, null, 2)}\n`;
  await store.add(environmentKey(origin), Buffer.from(text), origin);
  return origin;
}

/**
 * Stores a file that must be the same wherever it is computed.
 *
 * @throws Error when the file cannot be read or stored
 */
export async function publishFile(
  store: Store,
  { key, path, origin }: { readonly key: string; readonly path: string; readonly origin: string },
  onNote: (text: string) => void,
): Promise<Publication> {
  const bytes = await readFile(path);
  if (await store.add(key, bytes, origin)) return "first";
  const stored = await store.get(key);
  if (stored === undefined || "broken" in stored) {
    if (stored !== undefined) onNote(`${store.location}: ${key} ${stored.broken}; it is replaced`);
    await store.replace(key, bytes, origin);
    return "first";
  }
  if (Buffer.compare(stored.bytes, bytes) === 0) return "equal";
  onNote(
    await describeDispute(store, key, { fields: ["bytes"], origins: [stored.origin, origin] }),
  );
  return "different";
}

/** A result as it is stored. */
export const bytesOf = (result: CellResult): Uint8Array => Buffer.from(sealed(result));

/** Where files of a run directory lie, by key. */
export const pathIn = (directory: string, key: string): string =>
  join(directory, ...key.split("/"));
