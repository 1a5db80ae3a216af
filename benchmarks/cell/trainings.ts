import type { Network } from "../../algorithms/network.js";
import type { HostTensors } from "../../pipelines/engine/index.js";
import { NetworkClock } from "../../pipelines/deploy/index.js";
import { initialParameters, RowStorage, unquantized } from "../../pipelines/network/index.js";
import { quantize, type FineTuned, type SearchRecord } from "../../pipelines/quantize/index.js";
import {
  accuracyOf,
  correctOf,
  evaluate,
  train,
  type Dataset,
  type Logits,
} from "../../pipelines/train/index.js";
import { encodeCorrect } from "../../results/correctImages.js";
import { BITS_RADIX, type SearchResult } from "../../results/searchSchema.js";
import { readStoredFloat } from "../checkpoints/index.js";
import { ownNetwork, type OwnNetwork } from "../inputs/index.js";
import { buildFloatNetwork, type Cell, type CellParts } from "../planning/index.js";
import { storedOnce, type Checkpoint } from "./checkpoint.js";
import { searchName, stageKeys, type CellContext } from "./context.js";

/** The float checkpoint that all cells of one model and seed start from; stored. */
export async function pretrain(cell: Cell, context: CellContext): Promise<Checkpoint> {
  const { engine, dataset, onProgress } = context;
  const { hyperparameters, seed } = cell.config;
  return storedOnce(context, stageKeys(cell)[0], async ({ training: keeper }) => {
    const network = buildFloatNetwork(cell.config, dataset);
    const { checksum, checkpoint } = cell.config.model;
    if (checksum !== undefined) return givenCheckpoint(ownNetwork(checksum), context);
    const { pretrain: schedule } = hyperparameters;
    if (schedule === "stored") {
      const parameters = await readStoredFloat(checkpoint ?? "", network);
      return givenCheckpoint({ network, parameters }, context);
    }
    const result = await train(engine, {
      network,
      tensors: initialParameters(network, seed),
      dataset,
      hyperparameters,
      schedule,
      seed,
      name: "pretrain",
      onStep: (progress) => {
        onProgress("float training", progress);
      },
      keeper,
    });
    const logits = await floatLogits(network, result.tensors, context);
    return { ...result, ...floatResult(logits, dataset), bits: new Map() };
  });
}

/** A network that came with its weights is only evaluated. */
async function givenCheckpoint(
  { network, parameters }: Pick<OwnNetwork, "network" | "parameters">,
  context: CellContext,
): Promise<Checkpoint> {
  const logits = await floatLogits(network, parameters, context);
  const none = new Float32Array(0);
  return {
    tensors: parameters,
    losses: none,
    accuracies: none,
    ...floatResult(logits, context.dataset),
    bits: new Map(),
  };
}

const floatResult = (logits: Logits, dataset: Dataset) => ({
  accuracy: accuracyOf(logits, dataset),
  correct: encodeCorrect(correctOf(logits, dataset)),
});

function floatLogits(network: Network, tensors: HostTensors, context: CellContext) {
  const { engine, dataset, onProgress } = context;
  return evaluate(engine, network, {
    ...{ tensors, dataset, mode: () => ({ quantize: unquantized }) },
    onImages: (progress) => {
      onProgress("float evaluation", progress);
    },
  });
}

/** Loud, since whoever trains expects a gain. */
function describeLoss(
  { config: { algorithm, backend } }: Cell,
  { calibrated, trained, kept }: FineTuned,
): string {
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  return (
    `${algorithm.name} on ${backend.name}: training made it worse than post-training quantization ` +
    `(${percent(calibrated)} after calibration, ${percent(trained)} after training); the ${kept} network is kept. ` +
    "Train longer or at another rate (fineTuning at the model in the matrix)"
  );
}

/** The quantized training that follows a float checkpoint; stored. */
export function trainQuantized(
  cell: Cell,
  { parts, checkpoint }: { readonly parts: CellParts; readonly checkpoint: Checkpoint },
  context: CellContext,
): Promise<Checkpoint> {
  const { engine, dataset, onProgress, onNote } = context;
  const { hyperparameters, seed } = cell.config;
  const clock = new NetworkClock();
  const compute: Parameters<typeof storedOnce>[2] = async (keepers) => {
    const { sites, search, ...result } = await quantize(engine, {
      clock: (quantized) => clock.microseconds(quantized),
      ...parts,
      bitWidths: parts.backend.bitWidths,
      checkpoint: checkpoint.tensors,
      ...{ dataset, hyperparameters, seed },
      onStep: (progress) => {
        onProgress("quantized training", progress);
      },
      onCalibration: (progress) => {
        onProgress("calibration", progress);
      },
      onSearch: ({ visits, allowed, last }) => {
        onProgress("search", { step: visits, steps: allowed, loss: last?.loss ?? NaN });
      },
      keeper: keepers.training,
      searchKeeper: keepers.search,
      storage: new RowStorage({ directory: context.directory.path }),
    }).finally(() => clock.close());
    const { fineTuned } = result;
    if (fineTuned !== undefined && fineTuned.trained < fineTuned.calibrated)
      onNote(describeLoss(cell, fineTuned));
    const bits = new Map(sites.map(({ id, scheme }) => [id, scheme.bitWidth]));
    return { ...result, bits, ...(search && { search: searchResult(search) }) };
  };
  const isShared = cell.searchKey !== undefined;
  return storedOnce(context, stageKeys(cell)[1], compute, { name: searchName(cell), isShared });
}

/** As results hold it: bits and filters of what was tried by the order of sites and of convolutions. */
function searchResult({ budget, visits, cost, within, trace }: SearchRecord): SearchResult {
  const sites = [...new Set(trace.flatMap(({ policy }) => Object.keys(policy)))].sort();
  const convolutions = [...new Set(trace.flatMap(({ filters = {} }) => Object.keys(filters)))];
  const layers = [...new Set(trace.flatMap(({ operators = {} }) => Object.keys(operators)))];
  return {
    ...{ budget, visits, cost, sites },
    ...(within.length > 0 && { within: [...within] }),
    ...(convolutions.length > 0 && { convolutions }),
    ...(layers.length > 0 && { layers }),
    trace: trace.map(
      ({ policy, filters, operators, accuracy, loss, cost: spent, visits: used }) => ({
        visits: used,
        cost: spent,
        accuracy,
        ...(loss !== undefined && { loss }),
        bits: sites.map((id) => policy[id]?.toString(BITS_RADIX) ?? ".").join(""),
        ...(operators && {
          operators: layers
            .map((layer) => (operators[layer] ?? "convolution").slice(0, 1))
            .join(""),
        }),
        ...(filters && { filters: convolutions.map((name) => filters[name] ?? null) }),
      }),
    ),
  };
}
