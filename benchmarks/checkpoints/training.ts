import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  decodeSafetensors,
  encodeSafetensors,
  loadEngine,
  type HostTensor,
  type HostTensors,
} from "../../pipelines/engine/index.js";
import { initialParameters, unquantized } from "../../pipelines/network/index.js";
import {
  accuracyOf,
  evaluate,
  train,
  type TrainingKeeper,
  type TrainingProgress,
} from "../../pipelines/train/index.js";
import { datasets } from "../datasets/index.js";
import { lookup } from "../lookup.js";
import { models } from "../models/index.js";
import { nameOf, recipes, type Recipe } from "./recipes.js";
import { fileOf, type StoredFloat } from "./storedFloats.js";

/** A float network, trained by its recipe. */
export interface Trained {
  readonly tensors: HostTensors;
  readonly file: Uint8Array;
  readonly entry: StoredFloat;
}

interface TrainingOptions {
  readonly seed: number;
  readonly onStep: (progress: TrainingProgress) => void;
  readonly keeper?: TrainingKeeper;
}

/** Trains a network on the portable engine, on one thread: the same bits on every machine. */
export async function trainRecipe(
  recipe: Recipe,
  { seed, onStep, keeper }: TrainingOptions,
): Promise<Trained> {
  const engine = await loadEngine("portable");
  const dataset = await lookup("dataset", recipe.dataset, datasets).load("");
  const model = lookup("model", recipe.model, models);
  const { shape: inputShape, classes } = dataset;
  const network = model.build({ inputShape, classes, width: recipe.width });
  const { tensors } = await train(engine, {
    ...{ network, tensors: initialParameters(network, seed), dataset },
    ...{ hyperparameters: recipe.learning, schedule: recipe.schedule },
    ...{ seed, name: "pretrain", onStep, keeper },
  });
  const logits = await evaluate(engine, network, {
    ...{ tensors, dataset, mode: () => ({ quantize: unquantized }) },
  });
  const described = {
    name: nameOf(recipe, seed),
    ...{ model: model.name, version: model.version, width: recipe.width, seed },
    dataset: { name: dataset.name, checksum: dataset.checksum },
    ...{ engine: engine.version, epochs: recipe.schedule.epochs },
    accuracy: accuracyOf(logits, dataset),
  };
  const file = encodeSafetensors(tensors, {
    description: JSON.stringify({ ...described, recipe }),
  });
  const sha256 = createHash("sha256").update(file).digest("hex");
  return { tensors, file, entry: { ...described, sha256 } };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: HostTensor["data"]): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

/** A stored network beside the same one trained again. */
export interface Retrained {
  readonly stored: StoredFloat;
  readonly accuracy: number;
  /** Whether every bit of every tensor is the same. */
  readonly equal: boolean;
}

/** Trains a stored network again. @throws Error when its recipe is not part of this version */
export async function trainAgain(
  stored: StoredFloat,
  onStep: TrainingOptions["onStep"],
): Promise<Retrained> {
  const recipe = recipes.find((one) => nameOf(one, stored.seed) === stored.name);
  if (recipe === undefined) throw new Error(`there is no recipe for ${stored.name}`);
  const { tensors, entry } = await trainRecipe(recipe, { seed: stored.seed, onStep });
  const kept = decodeSafetensors(await readFile(fileOf(stored.name))).tensors;
  const equal = Object.entries(tensors).every(([name, { data }]) => {
    const bits = kept[name]?.data;
    return bits !== undefined && Buffer.compare(bytesOf(bits), bytesOf(data)) === 0;
  });
  return { stored, accuracy: entry.accuracy, equal };
}
