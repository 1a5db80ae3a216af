import { createHash } from "node:crypto";
import type { Algorithm, QuantizerSite } from "../../algorithms/algorithm.js";
import type { Network } from "../../algorithms/network.js";
import { FLOAT_BITS, type StoredWeights } from "../../backends/hardware/hardware.js";
import { sparsityOf } from "../../pipelines/freeze/index.js";
import type { HostTensors } from "../../pipelines/engine/index.js";
import {
  costOfNetwork,
  describeSite,
  isLayer,
  parameterSpecs,
  quantizerOf,
  unquantizedTensors,
} from "../../pipelines/network/index.js";
import { channelBits, chosenWidths, storedForms } from "../../pipelines/quantize/index.js";
import { accuracyOf, agreementOf } from "../../pipelines/train/index.js";
import { encodeCorrect } from "../../results/correctImages.js";
import type { CompletedCell } from "../../results/schema.js";
import type { SiteResult } from "../../results/siteSchema.js";
import type { StagedCell } from "./stagedCell.js";
import { quantizedBy, type Subject } from "./stages.js";

/** A completed cell as it is stored; runs every stage that has not run yet. */
export async function completedCell(
  { cell: { id, config }, parts, context: { dataset } }: Subject,
  staged: StagedCell,
): Promise<CompletedCell> {
  const { algorithm, floatNetwork } = parts;
  const trained = await staged.find("trained");
  const simulated = await staged.find("simulated");
  const { floatModel, model } = await staged.find("exported");
  const { logits, correct, results, deployment, measured } = await staged.find("deployed");
  const inspection = await staged.find("inspection");
  const { latency, operators } = await staged.find("latency");
  const { accuracy: float = NaN, correct: correctInFloat } = await staged.find("checkpoint");
  const { tensors } = trained;
  const { network, sites: places } = quantizedBy(parts, trained);
  const frozen = await staged.find("frozen");
  const widths = chosenWidths(algorithm, places, tensors);
  const stored = storedForms(algorithm, places, tensors);
  const kinds = operatorsOf(algorithm, places);
  const sites = places.map((site) => describe(site, algorithm, tensors));
  return {
    id,
    config,
    state: "completed",
    accuracy: {
      float,
      simulated: accuracyOf(simulated, dataset),
      deployed: accuracyOf(logits, dataset),
    },
    ...(trained.fineTuned && { fineTuning: trained.fineTuned }),
    agreement: agreementOf(simulated, logits, dataset.classes),
    runtimes: results,
    deployment,
    testImages: dataset.test.count,
    correctImages: {
      device: encodeCorrect(correct),
      ...(correctInFloat !== undefined && { float: correctInFloat }),
    },
    classes: dataset.classes,
    losses: [...trained.losses],
    batchAccuracies: [...trained.accuracies],
    weightHash: hashTensors(tensors),
    size: {
      floatFileBytes: floatModel.length,
      quantizedFileBytes: model.length,
      weightBytes:
        (weightBits(places, sites) +
          floatWeightBits(network, places) +
          adderWeightBits(network, places)) /
        8,
      ...(stored.size > 0 && { stored: storedSize(places, sites, stored) }),
    },
    cost: {
      float: costOfNetwork(floatNetwork, []),
      quantized: costOfNetwork(network, places, { channelBits: widths, stored, operators: kinds }),
    },
    sparsity: sparsityOf(frozen, widths, kinds),
    sites,
    ...(trained.filters && { filters: filtersOf(parts.quantized.network, network) }),
    ...(trained.operators && {
      operators: Object.entries(trained.operators).map(([layer, operator]) => ({
        ...{ layer, operator },
      })),
    }),
    inspection: { ...inspection, sites: [...inspection.sites] },
    unquantized: [
      ...unquantizedTensors(network, { inFloat: config.bits.activations === FLOAT_BITS }),
    ],
    ...(trained.search && { search: trained.search }),
    measured: { latency, operators, runtimes: measured, seconds: staged.seconds },
  };
}

/** What weights do where they do not multiply, by the site. */
const operatorsOf = (algorithm: Algorithm, places: readonly QuantizerSite[]) =>
  new Map(
    places
      .filter(({ role }) => role === "weight")
      .flatMap((site) => {
        const operator = quantizerOf(algorithm, site).operator?.(site);
        return operator === undefined ? [] : [[site.id, operator] as const];
      }),
  );

/** Output channels of each convolution, before the search and after it. */
const filtersOf = (given: Network, found: Network): CompletedCell["filters"] =>
  found.nodes.flatMap((node, index) => {
    const before = given.nodes[index];
    return node.op === "conv2d" && before?.op === "conv2d"
      ? [{ layer: node.name, given: before.filters, found: node.filters }]
      : [];
  });

/** Bits of all quantized weights together. */
function weightBits(places: readonly QuantizerSite[], sites: readonly SiteResult[]): number {
  return places
    .filter(({ role }) => role === "weight")
    .reduce((sum, { id, shape, scheme }) => {
      const { channelBits: bits = [scheme.bitWidth] } = sites.find((site) => site.id === id) ?? {};
      const mean = bits.reduce((a, b) => a + b, 0) / bits.length;
      return sum + shape.reduce((a, b) => a * b, 1) * mean;
    }, 0);
}

/** Bits of all weights that stay in float. */
function floatWeightBits(network: Network, places: readonly QuantizerSite[]): number {
  return network.nodes
    .filter(isLayer)
    .map(({ name }) => `${name}/kernel`)
    .filter((id) => !places.some((site) => site.id === id))
    .map((id) => parameterSpecs(network).get(id)?.shape ?? [])
    .reduce((sum, shape) => sum + FLOAT_BITS * shape.reduce((a, b) => a * b, 1), 0);
}

/** Bits of the filters of adder layers, on the grid of what they read or in float. */
function adderWeightBits(network: Network, places: readonly QuantizerSite[]): number {
  return network.nodes.reduce((sum, node) => {
    if (node.op !== "float" || node.operation.kind !== "adder") return sum;
    const { grid } = node.operation;
    const bits = places.find(({ id }) => id === grid)?.scheme.bitWidth ?? FLOAT_BITS;
    const shape = parameterSpecs(network).get(`${node.name}/kernel`)?.shape ?? [];
    return sum + bits * shape.reduce((a, b) => a * b, 1);
  }, 0);
}

/** All quantized weights where some are compressed: those that are not have their bits. */
function storedSize(
  places: readonly QuantizerSite[],
  sites: readonly SiteResult[],
  stored: ReadonlyMap<string, StoredWeights>,
): NonNullable<CompletedCell["size"]["stored"]> {
  const plain = places.filter(({ id }) => !stored.has(id));
  const forms = [...stored.values()];
  return {
    format: [...new Set(forms.map(({ format }) => format))].sort().join(", "),
    bytes: forms.reduce((sum, { bytes }) => sum + bytes, weightBits(plain, sites) / 8),
    weights: places
      .filter(({ role }) => role === "weight")
      .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
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
