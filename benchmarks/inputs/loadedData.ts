import { limitDataset, type Dataset } from "../../pipelines/train/index.js";
import type { CellConfig } from "../../results/schema.js";
import { datasets } from "../datasets/index.js";
import { lookup } from "../lookup.js";
import { loadOwnData, type OwnData } from "./ownData/index.js";
import { ownNetwork } from "./ownNetwork.js";

/** A data set's name, or a user's own images. */
export type DatasetReference = string | OwnData;

/** Loads and cuts a matrix's data set. */
export async function loadDataset(
  reference: DatasetReference,
  directory: string,
  limits: Parameters<typeof limitDataset>[1],
): Promise<Dataset> {
  const dataset =
    typeof reference === "string"
      ? await lookup("dataset", reference, datasets).load(directory)
      : await loadOwnData(reference);
  return limitDataset(dataset, limits);
}

/** For a plan that is not run: what is known of a data set whose files are not there. */
export async function loadOrDeclare(
  ...[reference, directory, limits]: Parameters<typeof loadDataset>
): Promise<Dataset> {
  try {
    return await loadDataset(reference, directory, limits);
  } catch (error) {
    if (typeof reference !== "string") throw error;
    const declared = lookup("dataset", reference, datasets).declared?.();
    if (declared === undefined) throw error;
    return limitDataset(declared, limits);
  }
}

/**
 * The data set with as many classes as a user's network has scores: labels need not use them all.
 *
 * @throws Error when labels go beyond the scores
 */
export function withClasses(dataset: Dataset, { checksum }: CellConfig["model"]): Dataset {
  if (checksum === undefined) return dataset;
  const { classes, name } = ownNetwork(checksum);
  if (dataset.classes > classes)
    throw new Error(
      `"${name}" gives ${String(classes)} scores, but data set "${dataset.name}" has ${String(dataset.classes)} classes`,
    );
  return { ...dataset, classes };
}
