import { engineIdentity, type Engine } from "../../pipelines/engine/index.js";
import type { Dataset } from "../../pipelines/train/index.js";
import type { CellConfig } from "../../results/schema.js";
import { buildCell, type Cell, identifyAlgorithm, planCell } from "../planning/index.js";

/**
 * A cell as this program plans it.
 *
 * @param id what it must be
 * @throws Error naming what this program has in other versions: its numbers would be of another cell
 */
export async function planHere(
  id: string,
  config: CellConfig,
  { dataset, engine }: { readonly dataset: Dataset; readonly engine: Engine },
): Promise<Cell> {
  const { backend } = buildCell(config, dataset);
  const here: CellConfig = {
    ...config,
    algorithm: await identifyAlgorithm(config.algorithm.name, config.variant),
    backend: { name: backend.name, version: backend.version },
    dataset: { name: dataset.name, checksum: dataset.checksum },
    engine: engineIdentity(engine),
  };
  const cell = planCell(here, dataset);
  if (cell.id === id) return cell;
  const parts = ["algorithm", "backend", "dataset", "engine"] as const;
  const other = parts.filter((part) => JSON.stringify(here[part]) !== JSON.stringify(config[part]));
  throw new Error(
    `the job is of another version: ${other.map((part) => `its ${part} is ${JSON.stringify(config[part])}, here it is ${JSON.stringify(here[part])}`).join("; ") || `its id ${id} is not the hash of its configuration`}`,
  );
}
