import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { Network } from "../../algorithms/network.js";
import { decodeSafetensors, type HostTensors } from "../../pipelines/engine/index.js";
import { parameterSpecs } from "../../pipelines/network/index.js";
import type { CellConfig } from "../../results/schema.js";
import { isCurrent } from "./recipes.js";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const storedFloatSchema = z.strictObject({
  /** Of the file, without its ending. */
  name: z.string().regex(/^[\w-]+$/),
  model: z.string(),
  /** Of the model's definition. */
  version: z.number().int(),
  width: z.number().int().positive(),
  seed: z.number().int().nonnegative(),
  dataset: z.strictObject({ name: z.string(), checksum: z.string() }),
  /** The version of the portable engine that trained it. */
  engine: z.string(),
  epochs: z.number().positive(),
  /** Share of the test images that it classifies right. */
  accuracy: z.number().min(0).max(1),
  sha256,
});

/** A float network that comes with the project, as its list has it. */
export type StoredFloat = z.infer<typeof storedFloatSchema>;

const FILES = dirname(
  createRequire(import.meta.url).resolve("#package/benchmarks/checkpoints/files/list.json"),
);
export const LIST_FILE = join(FILES, "list.json");
export const fileOf = (name: string): string => join(FILES, `${name}.safetensors`);

let list: readonly StoredFloat[] | undefined;

/**
 * All stored float networks.
 *
 * @param again reads the list though this process has read it before
 * @throws Error naming the list and what is wrong in it
 */
export function storedFloats(again = false): readonly StoredFloat[] {
  if (list !== undefined && !again) return list;
  const parsed = z.array(storedFloatSchema).safeParse(JSON.parse(readFileSync(LIST_FILE, "utf8")));
  if (!parsed.success) throw new Error(`${LIST_FILE}: ${z.prettifyError(parsed.error)}`);
  list = parsed.data;
  return list;
}

/**
 * The stored network of a model, width, data set and seed that cells start from.
 *
 * @throws Error naming what is stored when there is none
 */
export function storedFloat(
  wanted: Pick<StoredFloat, "version" | "width" | "seed" | "dataset"> & { readonly name: string },
): StoredFloat {
  const { name, version, width, seed, dataset } = wanted;
  const ofModel = storedFloats().filter(
    (one) => one.model === name && one.version === version && isCurrent(one),
  );
  const found = ofModel.find(
    (one) => one.width === width && one.seed === seed && one.dataset.checksum === dataset.checksum,
  );
  if (found !== undefined) return found;
  const there = ofModel.map(
    (one) => `width ${String(one.width)}, ${one.dataset.name}, seed ${String(one.seed)}`,
  );
  throw new Error(
    `there is no stored float network of ${name}, width ${String(width)}, ${dataset.name}, seed ${String(seed)} ` +
      `(stored: ${there.join("; ") || "none of this model"}); give "pretrain" epochs and learningRate to train one`,
  );
}

/**
 * The parameters of a stored network.
 *
 * @param checkpoint SHA-256 of its file, as cells name it
 * @throws Error when it is not there, its bytes are others, or its tensors are not the network's
 */
export async function readStoredFloat(
  checkpoint: CellConfig["model"]["checkpoint"] & string,
  network: Network,
): Promise<HostTensors> {
  const entry = storedFloats().find((one) => one.sha256 === checkpoint);
  if (entry === undefined)
    throw new Error(`the stored float network ${checkpoint} is not part of this version`);
  const path = fileOf(entry.name);
  const bytes = await readFile(path);
  const hash = createHash("sha256").update(bytes).digest("hex");
  if (hash !== checkpoint)
    throw new Error(`${path} is damaged: its SHA-256 is ${hash}, not ${checkpoint}`);
  const { tensors } = decodeSafetensors(bytes);
  for (const [name, { shape }] of parameterSpecs(network)) {
    const found = tensors[name]?.shape.join();
    if (found !== shape.join())
      throw new Error(
        `${path}: tensor "${name}" has shape [${found ?? "none"}]; the network needs [${shape.join()}]`,
      );
  }
  return tensors;
}
