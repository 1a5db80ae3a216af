import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { phasesOf } from "../algorithms/algorithm.js";
import { calibrate } from "../pipelines/calibrate.js";
import type { Dataset } from "../pipelines/data.js";
import { deployedLogits } from "../pipelines/deploy.js";
import { float32, type Engine, type HostTensors } from "../pipelines/engine/index.js";
import { accuracyOf, agreementOf, evaluate } from "../pipelines/evaluate.js";
import { exportOnnx } from "../pipelines/exportOnnx.js";
import { freeze, freezeFloat } from "../pipelines/freeze.js";
import type { Network } from "../pipelines/network/network.js";
import { inheritParameters, initialParameters } from "../pipelines/parameters.js";
import { asDeployed, unquantized } from "../pipelines/quantizers.js";
import { decodeSafetensors, encodeSafetensors } from "../pipelines/safetensors.js";
import { train, type TrainingProgress } from "../pipelines/train.js";
import { cellName, type RunDirectory } from "../results/store.js";
import type { CellResult } from "../results/schema.js";
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
    return { ...result, accuracy: accuracyOf(logits, dataset) };
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

  const { algorithm, quantized, floatNetwork } = parts;
  const simulated = await timer.run("evaluation", () =>
    evaluate(engine, quantized.network, {
      tensors: trained.tensors,
      dataset,
      mode: (tensors) => asDeployed(algorithm, quantized, tensors),
    }),
  );
  const [floatModel, model] = await timer.run("export", async () => {
    const frozen = await freeze(engine, quantized, { algorithm, tensors: trained.tensors });
    const bytes = exportOnnx(frozen, cellName(cell));
    await writeAtomically(join(directory.models, `${cellName(cell)}.onnx`), bytes);
    return [exportOnnx(freezeFloat(floatNetwork, checkpoint.tensors), "float"), bytes];
  });
  const deployed = await timer.run("deployment", () => deployedLogits(model, dataset));
  const [height = 1, width = 1, channels = 1] = dataset.shape;
  const latency = await timer.run("latency", () =>
    measureLatency(floatModel, model, [channels, height, width]),
  );
  const weightBits = quantized.sites
    .filter(({ role }) => role === "weight")
    .reduce(
      (sum, { shape, scheme }) => sum + shape.reduce((a, b) => a * b, 1) * scheme.bitWidth,
      0,
    );
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
    sites: quantized.sites.map(({ id: site, role, scheme }) => ({
      id: site,
      role,
      bitWidth: scheme.bitWidth,
    })),
    measured: { latency, seconds: timer.seconds },
  };
}

function trainQuantized(
  cell: Cell,
  { algorithm, quantized, floatNetwork }: CellParts,
  context: CellContext & { readonly checkpoint: Checkpoint },
): Promise<Checkpoint> {
  const { engine, dataset, checkpoint, onProgress } = context;
  const { hyperparameters, seed } = cell.config;
  return once(context, stageKeys(cell)[1], async () => {
    const parameters = inheritParameters(quantized.network, checkpoint.tensors, seed);
    const values = await calibrate(engine, {
      ...quantized,
      algorithm,
      parameters,
      dataset,
      hyperparameters,
    });
    const tensors = { ...parameters, ...values };
    if (phasesOf(algorithm, quantized.network).length === 0)
      return { tensors, losses: new Float32Array(0) };
    return train(engine, {
      network: quantized.network,
      tensors,
      quantizers: {
        algorithm,
        sites: quantized.sites,
        teacher: { network: floatNetwork, parameters: checkpoint.tensors },
      },
      dataset,
      hyperparameters,
      schedule: hyperparameters.quantizedTraining,
      seed,
      name: "quantizedTraining",
      onStep: (progress) => {
        onProgress("quantized training", progress);
      },
    });
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
