import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Algorithm, QuantizerSite } from "../algorithms/algorithm.js";
import { withBits } from "../pipelines/allocateBits.js";
import type { Dataset } from "../pipelines/data.js";
import { deployedLogits } from "../pipelines/deploy.js";
import { float32, type Engine, type HostTensors } from "../pipelines/engine/index.js";
import { accuracyOf, agreementOf, evaluate } from "../pipelines/evaluate.js";
import { exportOnnx } from "../pipelines/exportOnnx.js";
import { freeze, freezeFloat } from "../pipelines/freeze.js";
import type { Network } from "../pipelines/network/network.js";
import { describeSite, unquantizedTensors } from "../pipelines/network/coverage.js";
import { initialParameters } from "../pipelines/parameters.js";
import { groupChannels } from "../pipelines/groupChannels.js";
import { channelBits, chosenWidths, quantize } from "../pipelines/quantize.js";
import { asDeployed, quantizerOf, unquantized } from "../pipelines/quantizers.js";
import { decodeSafetensors, encodeSafetensors } from "../pipelines/safetensors.js";
import { train, type TrainingProgress } from "../pipelines/train.js";
import { cellName, type RunDirectory } from "../results/store.js";
import type { CellResult, SiteResult } from "../results/schema.js";
import { writeAtomically } from "../results/writeAtomically.js";
import { measureLatency } from "./latency.js";
import { buildCell, buildFloatNetwork, type Cell, type CellParts } from "./plan.js";

export interface CellContext {
  readonly engine: Engine;
  readonly dataset: Dataset;
  readonly directory: RunDirectory;
  readonly onProgress: (stage: string, progress?: TrainingProgress) => void;
}

interface Checkpoint {
  readonly tensors: HostTensors;
  readonly losses: Float32Array;
  readonly divergedAt?: number;
  /** Of the float network on the test set; absent for quantized trainings. */
  readonly accuracy?: number;
  /** Bits of each site, as the algorithm chose them; empty for float trainings. */
  readonly bits: ReadonlyMap<string, number>;
}

/** Names of the stored stages that a cell uses: its float and its quantized training. */
export function stageKeys({ pretrainKey, trainingKey }: Cell): [float: string, quantized: string] {
  return [`float-${pretrainKey}`, `quantized-${trainingKey}`];
}

/** The float checkpoint that all cells of one model and seed start from. */
export async function pretrain(cell: Cell, context: CellContext): Promise<Checkpoint> {
  const { engine, dataset, onProgress } = context;
  const { hyperparameters, seed } = cell.config;
  return once(context, stageKeys(cell)[0], async () => {
    const network = buildFloatNetwork(cell.config, dataset);
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
      mode: (tensors) => asDeployed(algorithm, quantized, tensors),
    }),
  );
  const [floatModel, model] = await timer.run("export", async () => {
    const frozen = await freeze(engine, quantized, { algorithm, tensors: trained.tensors });
    const widths = chosenWidths(algorithm, quantized.sites, trained.tensors);
    const bytes = exportOnnx(groupChannels(frozen, widths), cellName(cell));
    await writeAtomically(join(directory.models, `${cellName(cell)}.onnx`), bytes);
    return [exportOnnx(freezeFloat(floatNetwork, checkpoint.tensors), "float"), bytes];
  });
  const deployed = await timer.run("deployment", () => deployedLogits(model, dataset));
  const [height = 1, width = 1, channels = 1] = dataset.shape;
  const latency = await timer.run("latency", () =>
    measureLatency(floatModel, model, [channels, height, width]),
  );
  const sites = quantized.sites.map((site) => describe(site, algorithm, trained.tensors));
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
    losses: [...trained.losses],
    weightHash: hashTensors(trained.tensors),
    size: {
      floatFileBytes: floatModel.length,
      quantizedFileBytes: model.length,
      weightBytes: weightBits / 8,
    },
    sites,
    unquantized: [...unquantizedTensors(network)],
    measured: { latency, seconds: timer.seconds },
  };
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
  return once(context, stageKeys(cell)[1], async () => {
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

const LOSSES = "training losses";

/** Loads a stage's result, or computes and stores it; the file appears whole or not at all. */
async function once(
  { directory }: CellContext,
  key: string,
  compute: () => Promise<Checkpoint>,
): Promise<Checkpoint> {
  const path = directory.stageFile(key);
  const stored = await readFile(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  });
  if (stored !== undefined) return decodeCheckpoint(stored, path);
  const result = await compute();
  const file = encodeSafetensors(
    { ...result.tensors, [LOSSES]: float32(result.losses, [result.losses.length]) },
    {
      ...(result.accuracy !== undefined && { accuracy: String(result.accuracy) }),
      ...(result.divergedAt !== undefined && { divergedAt: String(result.divergedAt) }),
      bits: JSON.stringify([...result.bits]),
    },
  );
  await writeAtomically(path, file);
  return result;
}

function decodeCheckpoint(file: Uint8Array, path: string): Checkpoint {
  try {
    const { tensors, metadata } = decodeSafetensors(file);
    const { [LOSSES]: losses, ...rest } = tensors;
    if (!(losses?.data instanceof Float32Array)) throw new Error("it holds no losses");
    return {
      tensors: rest,
      losses: losses.data,
      ...(metadata["accuracy"] !== undefined && { accuracy: Number(metadata["accuracy"]) }),
      ...(metadata["divergedAt"] !== undefined && { divergedAt: Number(metadata["divergedAt"]) }),
      bits: new Map(JSON.parse(metadata["bits"] ?? "[]") as [string, number][]),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${path} cannot be read (${reason}); delete it to compute it again`, {
      cause: error,
    });
  }
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
