import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Algorithm, QuantizerSite } from "../../algorithms/algorithm.js";
import { channelBits, chosenWidths, quantize, withBits } from "../../pipelines/quantize/index.js";
import {
  accuracyOf,
  agreementOf,
  type Dataset,
  evaluate,
  train,
  type TrainingProgress,
} from "../../pipelines/train/index.js";
import { inspectSites, profileOperators } from "../../pipelines/deploy/index.js";
import type { Engine, HostTensors } from "../../pipelines/engine/index.js";
import { exportOnnx } from "../../pipelines/export/index.js";
import {
  freeze,
  freezeFloat,
  type FrozenNetwork,
  groupChannels,
} from "../../pipelines/freeze/index.js";
import {
  asDeployed,
  costOfNetwork,
  describeSite,
  initialParameters,
  quantizerOf,
  unquantized,
  unquantizedTensors,
} from "../../pipelines/network/index.js";
import type { Network } from "../../algorithms/network.js";
import { cellName, type RunDirectory } from "../../results/store.js";
import type { CellResult, SiteResult } from "../../results/schema.js";
import { writeAtomically } from "../../results/writeAtomically.js";
import { storedOnce, type Checkpoint } from "./checkpoint.js";
import { deploy } from "./deployments.js";
import { measureLatency } from "./latency.js";
import { ownNetwork, type OwnNetwork } from "../inputs/index.js";
import { buildCell, buildFloatNetwork, type Cell, type CellParts } from "../planning/index.js";

export interface CellContext {
  readonly engine: Engine;
  readonly dataset: Dataset;
  readonly directory: RunDirectory;
  readonly onProgress: (stage: string, progress?: TrainingProgress) => void;
}

/** Names of the stored stages that a cell uses: its float and its quantized training. */
export function stageKeys({ pretrainKey, trainingKey }: Cell): [float: string, quantized: string] {
  return [`float-${pretrainKey}`, `quantized-${trainingKey}`];
}

/** The float checkpoint that all cells of one model and seed start from. */
export async function pretrain(cell: Cell, context: CellContext): Promise<Checkpoint> {
  const { engine, dataset, onProgress } = context;
  const { hyperparameters, seed } = cell.config;
  return storedOnce(context.directory, stageKeys(cell)[0], async () => {
    const network = buildFloatNetwork(cell.config, dataset);
    const { checksum } = cell.config.model;
    if (checksum !== undefined) return givenCheckpoint(ownNetwork(checksum), context);
    const result = await train(engine, {
      network,
      tensors: initialParameters(network, seed),
      dataset,
      hyperparameters,
      schedule: hyperparameters.pretrain,
      seed,
      name: "pretrain",
      onStep: (progress) => {
        onProgress("float training", progress);
      },
    });
    const logits = await floatLogits(network, result.tensors, context);
    return { ...result, accuracy: accuracyOf(logits, dataset), bits: new Map() };
  });
}

/** A network that came with its weights is only evaluated. */
async function givenCheckpoint(
  { network, parameters }: OwnNetwork,
  context: CellContext,
): Promise<Checkpoint> {
  const logits = await floatLogits(network, parameters, context);
  const none = new Float32Array(0);
  return {
    tensors: parameters,
    losses: none,
    accuracies: none,
    accuracy: accuracyOf(logits, context.dataset),
    bits: new Map(),
  };
}

function floatLogits(network: Network, tensors: HostTensors, { engine, dataset }: CellContext) {
  return evaluate(engine, network, { tensors, dataset, mode: () => ({ quantize: unquantized }) });
}

/** Runs one cell from its float checkpoint to the deployed network. */
export async function runCell(cell: Cell, context: CellContext): Promise<CellResult> {
  const { id, config } = cell;
  if (cell.unsupported !== undefined)
    return { id, config, state: "unsupported", reason: cell.unsupported };
  const { dataset, engine, directory, onProgress } = context;
  const timer = stageTimer(onProgress);
  const checkpoint = await timer.run("float training", () => pretrain(cell, context));
  const floatAccuracy = checkpoint.accuracy ?? NaN;
  const notConverged = (what: string, { losses, divergedAt = 0 }: Checkpoint): CellResult => ({
    id,
    config,
    state: "notConverged",
    reason: `the loss of ${what} became ${String(losses.at(-1))} at step ${String(divergedAt + 1)}`,
    floatAccuracy,
    losses: Array.from(losses, (loss) => (Number.isFinite(loss) ? loss : null)),
  });
  if (checkpoint.divergedAt !== undefined) return notConverged("the float training", checkpoint);

  const parts = buildCell(config, dataset);
  const trained = await timer.run("quantized training", () =>
    trainQuantized(cell, parts, { ...context, checkpoint }),
  );
  if (trained.divergedAt !== undefined) return notConverged("the quantized training", trained);

  const { algorithm, floatNetwork } = parts;
  const { network } = parts.quantized;
  const quantized = { network, sites: withBits(parts.quantized.sites, trained.bits) };
  const simulated = await timer.run("evaluation", () =>
    evaluate(engine, quantized.network, {
      tensors: trained.tensors,
      dataset,
      mode: (current) => asDeployed(algorithm, quantized, current),
    }),
  );
  const { tensors } = trained;
  const widths = chosenWidths(algorithm, quantized.sites, tensors);
  const { floatModel, model, frozen, exported } = await timer.run("export", async () => {
    const integers = await freeze(engine, quantized, { algorithm, tensors });
    const grouped = groupChannels(integers, widths);
    const bytes = exportOnnx(grouped, cellName(cell));
    await writeAtomically(join(directory.models, `${cellName(cell)}.onnx`), bytes);
    const float = exportOnnx(freezeFloat(floatNetwork, checkpoint.tensors), "float");
    return { floatModel: float, model: bytes, frozen: integers, exported: grouped };
  });
  const deployments = await timer.run("deployment", () =>
    deploy(
      { exported, plain: frozen },
      {
        ...{ name: cellName(cell), backend: parts.backend, dataset, simulated },
        onRuntime: (title) => {
          onProgress(`deployment on ${title}`);
        },
      },
    ),
  );
  const deployed = deployments.logits;
  const inspection = await timer.run("inspection", () =>
    inspectSites(engine, frozen, {
      ...{ algorithm, tensors, dataset },
      arithmetic: parts.backend.arithmetic,
    }),
  );
  const [height = 1, width = 1, channels = 1] = dataset.shape;
  const imageShape = [channels, height, width];
  const { latency, operators } = await timer.run("latency", async () => ({
    latency: await measureLatency(floatModel, model, imageShape),
    operators: {
      float: await profileOperators(floatModel, imageShape),
      quantized: await profileOperators(model, imageShape),
    },
  }));
  const sites = quantized.sites.map((site) => describe(site, algorithm, tensors));
  const weightBits = quantized.sites
    .filter(({ role }) => role === "weight")
    .reduce((sum, { id: name, shape, scheme }) => {
      const { channelBits: bits = [scheme.bitWidth] } =
        sites.find((site) => site.id === name) ?? {};
      const mean = bits.reduce((a, b) => a + b, 0) / bits.length;
      return sum + shape.reduce((a, b) => a * b, 1) * mean;
    }, 0);
  return {
    id,
    config,
    state: "completed",
    accuracy: {
      float: floatAccuracy,
      simulated: accuracyOf(simulated, dataset),
      deployed: accuracyOf(deployed, dataset),
    },
    agreement: agreementOf(simulated, deployed, dataset.classes),
    runtimes: deployments.results,
    testImages: dataset.test.count,
    classes: dataset.classes,
    losses: [...trained.losses],
    batchAccuracies: [...trained.accuracies],
    weightHash: hashTensors(tensors),
    size: {
      floatFileBytes: floatModel.length,
      quantizedFileBytes: model.length,
      weightBytes: weightBits / 8,
    },
    cost: {
      float: costOfNetwork(floatNetwork, []),
      quantized: costOfNetwork(network, quantized.sites, widths),
    },
    sites,
    inspection: { images: inspection.images, sites: [...inspection.sites] },
    unquantized: [...unquantizedTensors(network)],
    measured: { latency, operators, runtimes: deployments.measured, seconds: timer.seconds },
  };
}

/**
 * A cell's trained network, with nothing left to learn; what is not stored is computed again.
 *
 * @throws Error when the training does not converge
 */
export async function frozenCell(cell: Cell, context: CellContext): Promise<FrozenNetwork> {
  const checkpoint = await pretrain(cell, context);
  const parts = buildCell(cell.config, context.dataset);
  const trained = await trainQuantized(cell, parts, { ...context, checkpoint });
  if (checkpoint.divergedAt !== undefined || trained.divergedAt !== undefined)
    throw new Error(`${cellName(cell)} did not converge: it has no network`);
  const { network, sites } = parts.quantized;
  const quantized = { network, sites: withBits(sites, trained.bits) };
  const { algorithm } = parts;
  return freeze(context.engine, quantized, { algorithm, tensors: trained.tensors });
}

/** A site as results show it. */
function describe(site: QuantizerSite, algorithm: Algorithm, tensors: HostTensors): SiteResult {
  const { id, role, scheme } = site;
  const bits = channelBits(algorithm, site, tensors);
  const { levels = "uniform" } = quantizerOf(algorithm, site);
  return {
    id,
    role,
    bitWidth: scheme.bitWidth,
    ...(bits && { channelBits: [...bits] }),
    scheme: describeSite(scheme, levels),
  };
}

function trainQuantized(
  cell: Cell,
  parts: CellParts,
  context: CellContext & { readonly checkpoint: Checkpoint },
): Promise<Checkpoint> {
  const { engine, dataset, checkpoint, onProgress } = context;
  const { hyperparameters, seed } = cell.config;
  return storedOnce(context.directory, stageKeys(cell)[1], async () => {
    const { sites, ...result } = await quantize(engine, {
      ...parts,
      checkpoint: checkpoint.tensors,
      ...{ dataset, hyperparameters, seed },
      onStep: (progress) => {
        onProgress("quantized training", progress);
      },
    });
    const bits = new Map(sites.map(({ id, scheme }) => [id, scheme.bitWidth]));
    return { ...result, bits };
  });
}

function hashTensors(tensors: HostTensors): string {
  const hash = createHash("sha256");
  for (const [name, { shape, data }] of Object.entries(tensors).sort(([a], [b]) =>
    a < b ? -1 : 1,
  )) {
    hash.update(`${name} [${shape.join()}]\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest("hex");
}

function stageTimer(onProgress: CellContext["onProgress"]) {
  const seconds: Record<string, number> = {};
  return {
    seconds,
    async run<T>(stage: string, work: () => Promise<T>): Promise<T> {
      onProgress(stage);
      const start = performance.now();
      const result = await work();
      seconds[stage] = (performance.now() - start) / 1000;
      return result;
    },
  };
}
