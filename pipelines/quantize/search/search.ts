import type { QuantizerSite, QuantizerValues } from "../../../algorithms/algorithm.js";
import { fixedGrid } from "../../../algorithms/fixedGrid.js";
import type {
  BudgetUnit,
  Experiment,
  Filters,
  Found,
  ImageBatch,
  Laboratory,
  Search,
} from "../../../algorithms/laboratory.js";
import type { Network, Operators } from "../../../algorithms/network.js";
import { mseObserver } from "../../../algorithms/observers/index.js";
import { quantizeAtRuntime } from "../../../algorithms/search/runtimeGrid.js";
import type { BackendProfile } from "../../../backends/backend.js";
import { randomStream, type Engine, type HostTensors } from "../../engine/index.js";
import {
  channelGroups,
  valuesOf,
  withFilters,
  withOperators,
  type QuantizedNetwork,
} from "../../network/index.js";
import {
  batchesInOrder,
  DEFAULT_SEARCH,
  trainingBatches,
  type Batch,
  type Hyperparameters,
  type TrainingImages,
} from "../../train/index.js";
import { firstValues, observe } from "../calibrate.js";
import { withBits } from "../withBits.js";
import { policyCost, type Clock } from "./policyCost.js";
import { PolicyEvaluation } from "./evaluatePolicies.js";
import { GRADIENT_VISITS, PreparedExperiment, toHostTensors } from "./experiment.js";
import { splitImages } from "./heldOut.js";
import { searchedLayers, searchedSites } from "./layers.js";
import { SharedWeights } from "./sharedWeights.js";
import { Notebook, type SearchKeeper, type SearchState, type TraceLine } from "./notebook.js";

export type { SearchKeeper, SearchState };

export interface SearchTask {
  readonly search: Search;
  readonly network: Network;
  readonly sites: readonly QuantizerSite[];
  readonly parameters: HostTensors;
  /** Nobody here can see test images. */
  readonly images: TrainingImages;
  /** What calibration sees. */
  readonly calibration: readonly Batch[];
  readonly hyperparameters: Hyperparameters;
  /** What the backend has; everything if absent. */
  readonly bitWidths?: BackendProfile["bitWidths"] | undefined;
  readonly seed: number;
  /** For budgets of measured time. */
  readonly clock?: Clock | undefined;
  readonly keeper?: SearchKeeper | undefined;
  readonly onProgress?: ((progress: SearchProgress) => void) | undefined;
}

export interface SearchProgress {
  readonly visits: number;
  readonly allowed: number;
  readonly last: TraceLine | undefined;
}

/** What a search did, for the cell's result. */
export interface SearchRecord {
  readonly budget: BudgetUnit & { readonly allowed: number };
  readonly visits: { readonly allowed: number; readonly used: number };
  /** Of what was found, in the unit of the budget. */
  readonly cost: number;
  /** The same in other units that the search keeps to. */
  readonly within: readonly (BudgetUnit & { readonly allowed: number; readonly cost: number })[];
  readonly trace: readonly TraceLine[];
}

export interface SearchResult {
  /** With bits and filters as they were found. */
  readonly quantized: QuantizedNetwork;
  readonly filters: Filters | undefined;
  readonly operators: Operators | undefined;
  /** Parameters and quantizer values that the search found. */
  readonly tensors: HostTensors;
  readonly record: SearchRecord;
}

/**
 * Lets an algorithm search the bits of a network, or its widths.
 *
 * @throws RangeError when what it found costs more than the budget, or has bits that it may not choose
 */
export async function search(engine: Engine, task: SearchTask): Promise<SearchResult> {
  const { visits: allowed } = task.hyperparameters.search ?? DEFAULT_SEARCH;
  const notebook = new Notebook(allowed, task.keeper, (visits, last) =>
    task.onProgress?.({ visits, allowed, last }),
  );
  const experiments: PreparedExperiment[] = [];
  try {
    const laboratory = openLaboratory(engine, task, { notebook, experiments });
    const found = await task.search.run(laboratory);
    const { policy, filters, operators, tensors = {} } = found;
    const { budget } = laboratory;
    const costs = laboratory.limits.map(({ unit, allowed: most }) => ({
      ...unit,
      allowed: most,
      cost: laboratory.cost(policy, unit, found),
    }));
    check(policy, task.search.mayExceed === true ? [] : costs, laboratory);
    const [{ cost } = { cost: NaN }, ...within] = costs;
    const sites = withBits(task.sites, new Map(Object.entries(policy)));
    return {
      quantized: withOperators(
        withFilters({ network: task.network, sites }, filters ?? {}),
        operators ?? {},
      ),
      ...{ filters, operators },
      tensors: toHostTensors(tensors),
      record: {
        budget: { ...task.search.budget, allowed: budget },
        visits: { allowed, used: notebook.visits },
        cost,
        within,
        trace: notebook.trace,
      },
    };
  } finally {
    for (const experiment of experiments) await experiment.release();
  }
}

/** The network that an experiment is of. */
const subjectOf = (given: QuantizedNetwork, { network, sites, filters = {} }: Experiment) =>
  withFilters({ network: network ?? given.network, sites: sites ?? given.sites }, filters);

function openLaboratory(
  engine: Engine,
  task: SearchTask,
  {
    notebook,
    experiments,
  }: { readonly notebook: Notebook; readonly experiments: PreparedExperiment[] },
): Laboratory {
  const { network, sites, images, calibration, hyperparameters, seed, search: method } = task;
  const { fineTuning } = hyperparameters.search ?? DEFAULT_SEARCH;
  const { heldOut, visitsPerEvaluation, epoch } = partedImages(task);
  const parameters = task.parameters as QuantizerValues;
  const prepare: Laboratory["prepare"] = (experiment) => {
    const prepared = new PreparedExperiment(
      engine,
      {
        ...subjectOf({ network, sites }, experiment),
        classes: images.classes,
        onVisit: (count) => {
          notebook.visit(count);
        },
      },
      experiment,
    );
    experiments.push(prepared);
    return prepared.run;
  };
  const { quantizedTraining, momentum, weightDecay: decay } = hyperparameters;
  const layers = searchedLayers(network, sites);
  const free = searchedSites(layers, sites, method.activations && method.budget.unit !== "size");
  const { clock } = task;
  const measured: Clock | undefined =
    clock && ((quantized) => notebook.once(structureOf(quantized), () => clock(quantized)));
  const cost: Laboratory["cost"] = (policy, unit = method.budget, changed = {}) =>
    policyCost({ network, sites }, policy, unit, changed, measured);
  const limits = [method.budget, ...(method.within ?? [])].map((unit) => ({
    unit,
    allowed: (unit.share ?? 1) * cost({}, unit),
  }));
  const random: Laboratory["random"] = (name) => randomStream(seed, `search/${name}`);
  let evaluation: Promise<PolicyEvaluation> | undefined;
  const openEvaluation = () => {
    const tuning = () => epoch("fineTuning", fineTuning.steps);
    return evaluationOf(engine, task, { prepare, random, heldOut, tuning });
  };
  return {
    ...{ network, sites, layers, free, parameters, calibration, prepare, cost },
    calibrate: async (quantizers) =>
      (await firstValues(engine, { ...task, quantizers, dataset: images })) as QuantizerValues,
    widths: {
      weight: widthsWithin(method.candidates, task.bitWidths?.weights),
      activation: widthsWithin(method.candidates, task.bitWidths?.activations),
    },
    descent: { rate: quantizedTraining.learningRate, momentum, decay },
    ...{ groups: channelGroups(network), limits, budget: limits[0]?.allowed ?? NaN },
    visits: {
      allowed: notebook.allowed,
      get used() {
        return notebook.visits;
      },
    },
    ...{ heldOut, visitsPerEvaluation, epoch },
    random,
    async evaluate(policy, { tuned = true } = {}) {
      evaluation ??= openEvaluation();
      const score = await (await evaluation).evaluate(policy, tuned);
      notebook.write({ policy, ...score }, cost(policy));
      return score;
    },
    note: (line) => {
      notebook.write(line, cost(line.policy, method.budget, line));
    },
    rounds: (name, first, options) => notebook.rounds(name, first, options),
  };
}

/** What tells networks of a search apart: channels, operators and bits. */
const structureOf = ({ network, sites }: QuantizedNetwork): string =>
  JSON.stringify([
    network.nodes.map((node) => [
      "filters" in node ? node.filters : 0,
      "operator" in node ? node.operator : undefined,
    ]),
    sites.map(({ scheme }) => scheme.bitWidth),
  ]);

/** What tries policies, on the search's grids or in its clusters. */
async function evaluationOf(
  engine: Engine,
  task: SearchTask,
  {
    prepare,
    random,
    ...images
  }: Pick<Laboratory, "prepare" | "random" | "heldOut"> & {
    readonly tuning: () => Iterable<ImageBatch>;
  },
): Promise<PolicyEvaluation> {
  const { network, sites, hyperparameters, search: method } = task;
  const { fineTuning } = hyperparameters.search ?? DEFAULT_SEARCH;
  const { grids = LEAST_ERROR, clusters } = method;
  const parameters = task.parameters as QuantizerValues;
  return new PolicyEvaluation({
    ...{ network, sites, grids, parameters, hyperparameters, fineTuning, ...images },
    observed: await observe(engine, { ...task, quantizers: grids, dataset: task.images }),
    shared: clusters && new SharedWeights(clusters, parameters, random),
    prepare: (by, trains) =>
      prepare({
        ...{ by, training: trains },
        quantize: (x, site, inputs) =>
          clusters !== undefined && site.role === "weight"
            ? x
            : quantizeAtRuntime(x, valuesOf(site, inputs), site),
      }),
  });
}

/** The images that a search judges by, and epochs of the others. */
function partedImages({ images, calibration, hyperparameters, seed }: SearchTask) {
  const { heldOut, fineTuning } = hyperparameters.search ?? DEFAULT_SEARCH;
  const { batchSize, augmentation } = hyperparameters;
  const split = splitImages(images.train, {
    ...{ heldOut, seed },
    calibration: calibration.length * batchSize,
  });
  const training = { ...images, train: split.train };
  const judged = [...batchesInOrder(images, split.heldOut, split.heldOutBatch)];
  const batchesPerEpoch = Math.floor(split.train.count / batchSize);
  function* epoch(name: string, most = batchesPerEpoch) {
    const batches = trainingBatches(training, {
      ...{ batchSize, augmentation, seed, name: `search/${name}` },
    });
    for (let i = 0; i < most; i++) yield batches.next().value;
  }
  return {
    heldOut: judged,
    visitsPerEvaluation:
      judged.length * split.heldOutBatch + GRADIENT_VISITS * fineTuning.steps * batchSize,
    epoch,
  };
}

/** Grids with the least squared error. */
const LEAST_ERROR = { weight: fixedGrid(mseObserver), activation: fixedGrid(mseObserver) };

/** Widths that a search may choose and a backend holds. */
export const widthsWithin = (
  candidates: readonly number[],
  range: BackendProfile["bitWidths"]["weights"] = { min: 0, max: Infinity },
): readonly number[] =>
  candidates
    .filter((bits) => bits >= range.min && bits <= Math.min(range.max, range.used ?? Infinity))
    .toSorted((a, b) => a - b);

function check(
  policy: Found["policy"],
  costs: SearchRecord["within"],
  { free, widths }: Laboratory,
): void {
  for (const [id, bits] of Object.entries(policy)) {
    const site = free.find((one) => one.id === id);
    if (site === undefined)
      throw new RangeError(`a search gave bits to ${id}, which it may not choose`);
    if (!widths[site.role].includes(bits) && bits !== site.scheme.bitWidth)
      throw new RangeError(
        `a search gave ${String(bits)} bits to ${id}; it may choose ${widths[site.role].join(", ")}`,
      );
  }
  for (const { unit, cost, allowed } of costs)
    if (cost > allowed * (1 + 1e-9))
      throw new RangeError(
        `a search found what costs ${String(cost)} (${unit}), over ${String(allowed)}`,
      );
}
