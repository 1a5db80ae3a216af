import {
  choiceOf,
  engineIdentity,
  loadEngine,
  type EngineName,
} from "../../pipelines/engine/index.js";
import type { CellResult } from "../../results/schema.js";
import { cellName, type RunDirectory } from "../../results/store.js";
import type { CellContext } from "../cell/index.js";
import { loadDataset, loadOwnNetwork, ownDataSchema, withClasses } from "../inputs/index.js";
import { buildCell, type Cell, identifyAlgorithm, planCell } from "../planning/index.js";

/**
 * The finished cell whose id starts so, or whose name or file is given, which end with the start of the id.
 *
 * @throws Error naming the id when there is none, or more than one, or it has no number
 */
export function findCell(stored: readonly CellResult[], given: string): CellResult {
  const id = /(?:.*--)?(?<id>.*?)(?:\.json)?$/.exec(given)?.groups?.["id"] ?? given;
  const [found, ...more] = stored.filter((result) => result.id.startsWith(id));
  if (found === undefined) throw new Error(`no stored cell has an id that starts with "${id}"`);
  if (more.length > 0)
    throw new Error(
      `${String(more.length + 1)} cells have ids that start with "${id}"; give more of it`,
    );
  if (found.state !== "completed" && found.state !== "notConverged")
    throw new Error(`cell ${cellName(found)} is ${found.state}: it has no network`);
  return found;
}

/**
 * What it takes to compute a stored cell again.
 *
 * @throws Error when this installation cannot: another engine, version or other data. With an
 *   engine named, the cell's own need not be here, and the cell is this engine's
 */
export async function contextFor(
  { id, config }: CellResult,
  options: {
    /** To compute on another engine than the cell's own. */
    readonly engine?: EngineName;
    /** Where the data lies, if it is not embedded or has moved. */
    readonly dataDirectory?: string | undefined;
    /** The run that the cell is from. */
    readonly stored: RunDirectory;
    /** Where checkpoints are looked for and kept. */
    readonly directory: RunDirectory;
    readonly onStage: CellContext["onProgress"];
    readonly onNote?: CellContext["onNote"];
  },
): Promise<{ readonly cell: Cell; readonly context: CellContext }> {
  const { name, lowering } = config.engine;
  // Names come from EngineName; other engines than onnxruntime have no lowerings.
  const engine = await (options.engine === undefined
    ? loadEngine(name as EngineName, name === "onnxruntime" ? choiceOf(lowering) : "auto")
    : loadEngine(options.engine));
  const { stored, dataDirectory } = options;
  if (config.model.checksum !== undefined) await loadOwnNetwork(stored.path, config.model.checksum);
  const { ownData } = stored.readRun();
  const reference =
    ownData === undefined
      ? config.dataset.name
      : ownDataSchema.parse({ ...ownData, ...(dataDirectory && { path: dataDirectory }) });
  const images = await loadDataset(
    reference,
    dataDirectory ?? process.env["QUANTBENCH_DATA"] ?? "data",
    config.hyperparameters,
  );
  const dataset = withClasses(images, config.model);
  if (dataset.checksum !== config.dataset.checksum) {
    throw new Error(`data set "${dataset.name}" has other files than the run had`);
  }
  const { backend } = buildCell(config, dataset);
  const cell = planCell(
    {
      ...config,
      algorithm: await identityLike(config),
      backend: { name: backend.name, version: backend.version },
      engine: options.engine === undefined ? engineIdentity(engine) : config.engine,
    },
    dataset,
  );
  if (cell.id !== id) {
    throw new Error(
      `cell ${cellName({ id, config })} was computed by other versions and cannot be bit-equal: ` +
        `${versions(config)}; this installation has ${versions(cell.config)}`,
    );
  }
  const { directory, onStage: onProgress, onNote = toStandardError } = options;
  const context = { engine, dataset, directory, onProgress, onNote };
  if (options.engine === undefined) return { cell, context };
  return { cell: planCell({ ...cell.config, engine: engineIdentity(engine) }, dataset), context };
}

const toStandardError = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

/** The algorithm as it is here; cells of earlier versions were named without what it computes. */
async function identityLike({ algorithm, variant }: CellResult["config"]) {
  const { computes, ...versioned } = await identifyAlgorithm(algorithm.name, variant);
  return algorithm.computes === undefined ? versioned : { ...versioned, computes };
}

const versions = ({ engine, algorithm, backend, numerics }: CellResult["config"]): string =>
  [
    ...[engine, algorithm, backend, { name: "numerics", version: numerics }].map(
      ({ name, version }) => `${name} ${String(version)}`,
    ),
    ...(algorithm.computes === undefined
      ? []
      : [`${algorithm.name} computes ${algorithm.computes}`]),
    `lowering ${engine.lowering ?? "standard"}`,
  ].join(", ");
