import type { Algorithm, Quantizer } from "../../algorithms/algorithm.js";
import { algorithms } from "../../algorithms/index.js";
import { searchAtRandom } from "../../algorithms/randomSearch.js";
import { gridsFrom, observers } from "../../algorithms/observers/index.js";
import {
  GRAPH_RULES,
  type BackendProfile,
  type BatchNormStrategy,
} from "../../backends/backend.js";
import { backends } from "../../backends/index.js";
import type { Dataset } from "../../pipelines/train/index.js";
import {
  foldBatchNorm,
  placeQuantizers,
  type QuantizedNetwork,
} from "../../pipelines/network/index.js";
import type { Network } from "../../algorithms/network.js";
import type { CellConfig, Variant } from "../../results/schema.js";
import { lookup } from "../lookup.js";
import { models } from "../models/index.js";
import { ownNetwork } from "../inputs/index.js";

/** What a cell's configuration names, put together. */
export interface CellParts {
  readonly algorithm: Algorithm;
  readonly backend: BackendProfile;
  readonly floatNetwork: Network;
  /** What the algorithm makes of it, before batch norm is folded. */
  readonly rewritten: Network;
  readonly batchNorm: BatchNormStrategy;
  /** Before placing quantizers. */
  readonly deployable: Network;
  readonly quantized: QuantizedNetwork;
}

const networks = new Map<string, Network>();

/** The same network for the same configuration, so that what is known of it stays known. */
export function buildFloatNetwork(config: CellConfig, dataset: Dataset): Network {
  if (config.model.checksum !== undefined) return ownNetwork(config.model.checksum).network;
  const model = lookup("model", config.model.name, models);
  const { shape: inputShape, classes } = dataset;
  const { width } = config.model;
  const key = JSON.stringify([model.name, width, inputShape, classes]);
  const network = networks.get(key) ?? model.build({ inputShape, classes, width });
  networks.set(key, network);
  return network;
}

/** An algorithm as cells of a variant use it. */
export const algorithmOf = (name: string, variant: Variant = {}): Algorithm =>
  searchingFor(
    startingFrom(
      controlledBy(prunedTo(lookup("algorithm", name, algorithms), variant.density), variant),
      variant,
    ),
    variant,
  );

export function buildCell(config: CellConfig, dataset: Dataset): CellParts {
  const { variant } = config;
  const algorithm = algorithmOf(config.algorithm.name, variant);
  const profile = lookup("backend", config.backend.name, backends);
  const backend =
    variant?.graph === undefined ? profile : { ...profile, graph: GRAPH_RULES[variant.graph] };
  const batchNorm = variant?.batchNorm ?? backend.batchNorm;
  const floatNetwork = buildFloatNetwork(config, dataset);
  const placed = quantizedNetwork(
    { floatNetwork, algorithm, backend, batchNorm, bits: config.bits },
    variant?.graph,
  );
  return { algorithm, backend, floatNetwork, batchNorm, ...placed };
}

type Placed = Pick<CellParts, "rewritten" | "deployable" | "quantized">;

const placed = new WeakMap<Network, Map<string, Placed>>();

/** Algorithms that leave the network as it is have the same quantized network, which is made once. */
function quantizedNetwork(
  {
    floatNetwork,
    algorithm,
    backend,
    batchNorm,
    bits,
  }: Pick<CellParts, "floatNetwork" | "algorithm" | "backend" | "batchNorm"> &
    Pick<CellConfig, "bits">,
  graph: Variant["graph"],
): Placed {
  const known = placed.get(floatNetwork) ?? new Map<string, Placed>();
  placed.set(floatNetwork, known);
  const key = JSON.stringify([
    algorithm.rewrite && algorithm.name,
    backend.name,
    graph,
    batchNorm,
    bits,
  ]);
  const found = known.get(key);
  if (found !== undefined) return found;
  const rewritten = algorithm.rewrite?.(floatNetwork, bits) ?? floatNetwork;
  const deployable = foldBatchNorm(rewritten, batchNorm);
  const made = { rewritten, deployable, quantized: placeQuantizers(deployable, backend, bits) };
  known.set(key, made);
  return made;
}

const pruned = new Map<string, Algorithm>();

/** The algorithm at another density. */
function prunedTo(algorithm: Algorithm, density: Variant["density"]): Algorithm {
  if (density === undefined || algorithm.atDensity === undefined) return algorithm;
  const key = JSON.stringify([algorithm.name, density]);
  const known = pruned.get(key) ?? { ...algorithm, ...algorithm.atDensity(density) };
  pruned.set(key, known);
  return known;
}

const controls = new Map<string, Algorithm>();

/** The control of a search of operators. */
function controlledBy(algorithm: Algorithm, { operators, density }: Variant): Algorithm {
  if (operators === undefined || algorithm.atOperators === undefined) return algorithm;
  const key = JSON.stringify([algorithm.name, operators, density]);
  const known = controls.get(key) ?? { ...algorithm, ...algorithm.atOperators(operators) };
  controls.set(key, known);
  return known;
}

const startedElsewhere = new Map<string, Algorithm>();

/** The algorithm with quantizers whose first grids come from other observers. */
function startingFrom(
  algorithm: Algorithm,
  { initialization, density, operators }: Variant,
): Algorithm {
  if (initialization === undefined) return algorithm;
  const key = JSON.stringify([algorithm.name, initialization, density, operators]);
  const known = startedElsewhere.get(key);
  if (known !== undefined) return known;
  const change = (quantizer: Quantizer, name: string): Quantizer => {
    if (!quantizer.startsFromGrid) return quantizer;
    const observer = lookup("observer", name, observers);
    return {
      ...quantizer,
      observe: observer.observe,
      initialize: (batches, site) => gridsFrom(observer, batches, site),
    };
  };
  const changed = {
    ...algorithm,
    weight: change(algorithm.weight, initialization.weights),
    activation: change(algorithm.activation, initialization.activations),
  };
  startedElsewhere.set(key, changed);
  return changed;
}

const searchingElsewhere = new Map<string, Algorithm>();

/** The algorithm with another budget for its search, or with random search in its place. */
function searchingFor(algorithm: Algorithm, { budget, search, operators }: Variant): Algorithm {
  const { search: method } = algorithm;
  if ((budget === undefined && search === undefined) || method === undefined) return algorithm;
  const key = JSON.stringify([algorithm.name, budget, search, operators]);
  const known = searchingElsewhere.get(key);
  if (known !== undefined) return known;
  const changed = {
    ...algorithm,
    search: {
      ...method,
      ...(budget !== undefined && { budget }),
      ...(budget?.share !== undefined &&
        method.within && {
          within: method.within.map((unit) => ({ ...unit, share: budget.share })),
        }),
      ...(search === "random" && { run: searchAtRandom }),
    },
  };
  searchingElsewhere.set(key, changed);
  return changed;
}
