import { unsupportedLevels, type QuantizerSite } from "../../algorithms/algorithm.js";
import { FLOAT_BITS } from "../../backends/hardware/hardware.js";
import {
  PartlyQuantized,
  type Behavior,
  type Divisible,
  type Judges,
} from "../../pipelines/deploy/index.js";
import type { HostTensors } from "../../pipelines/engine/index.js";
import { finished, quantizerOf } from "../../pipelines/network/index.js";
import { calibrate, policyCost } from "../../pipelines/quantize/index.js";
import {
  batchesInOrder,
  limitDataset,
  type Dataset,
  type ImageSet,
} from "../../pipelines/train/index.js";
import { trainedCell, type CellContext } from "../cell/index.js";
import type { Cell } from "../planning/index.js";
import { reachAccuracy, type AccuracyTarget, type RaisedLayer } from "./accuracyTarget.js";
import { isWhole, measureSensitivities, partsOf, type Sensitivities } from "./sensitivity.js";

const BATCH = 100;
/** What layers may be raised to, beside float. */
const RAISED_BITS = [8, 16] as const;

export interface SensitivityReport extends Sensitivities {
  readonly asked: { readonly images: number; readonly mostLost: number };
  /** How many training images judged, and whether they have labels; else float is taken to be right. */
  readonly judges: { readonly images: number; readonly areLabeled: boolean };
  readonly target: Omit<AccuracyTarget, "sites"> & {
    /** As a share of images. */
    readonly mostLost: number;
    /** On the whole test set: what was chosen, deployed so, beside float and everything as it was. */
    readonly verified: {
      readonly chosen: Behavior | undefined;
      readonly inFloat: Behavior;
      readonly quantized: Behavior;
    };
  };
}

/**
 * What each layer of a finished cell's network suffers from its quantizers, and the cheapest layers to
 * raise to 8 or 16 bits or to leave in float so that no more than `mostLost` of the accuracy is lost. Training images judge; what was chosen is then
 * deployed on the test set.
 */
export async function sensitivityOf(
  { cell, context }: { readonly cell: Cell; readonly context: CellContext },
  options: {
    /** Training images to judge by, at most. */
    readonly images: number;
    readonly mostLost: number;
    readonly onProgress: (what: string) => void;
  },
): Promise<SensitivityReport> {
  const { engine, dataset } = context;
  const { mostLost, onProgress } = options;
  const subject = await divisible(cell, context);
  const judges = firstImages(dataset, dataset.train, options.images);
  const network = await PartlyQuantized.create(engine, subject, judges);
  const sensitivities = await measureSensitivities(network, subject, (done, all) => {
    onProgress(`part ${String(done)} of ${String(all)}`);
  });
  const own = Object.fromEntries(subject.sites.map(({ id, scheme }) => [id, scheme.bitWidth]));
  const { sites, ...target } = await reachAccuracy({
    ...{ network, own, mostLost, layers: raisedLayers(subject) },
    bitOps: (bits) => policyCost(subject, bits, { unit: "bitOps" }),
    onTry: (tried) => {
      onProgress(`${String(tried)} networks tried`);
    },
  });
  onProgress("verification on the test set");
  const test = await PartlyQuantized.create(
    engine,
    subject,
    firstImages(dataset, dataset.test, dataset.test.count),
  );
  const verified = {
    chosen: sites && (await test.deployed(sites)),
    inFloat: test.inFloat(),
    quantized: await test.deployed({}),
  };
  const images = judges.batches.reduce((sum, { labels }) => sum + labels.data.length, 0);
  return {
    ...sensitivities,
    asked: { images: options.images, mostLost },
    judges: { images, areLabeled: judges.areLabeled },
    target: { mostLost, ...target, verified },
  };
}

/** A cell's trained network with the values of its quantizers at the bits that layers may be raised to. */
async function divisible(cell: Cell, context: CellContext): Promise<Divisible> {
  const { engine, dataset } = context;
  const trained = await trainedCell(cell, context);
  const { algorithm, network, tensors } = trained;
  const atBits = new Map<number, HostTensors>();
  for (const bits of RAISED_BITS) {
    const sites = trained.sites.flatMap((site) => raised(trained, site, bits) ?? []);
    if (sites.length === 0) continue;
    const values = await calibrate(engine, {
      ...{ network, sites, algorithm, parameters: tensors, dataset },
      hyperparameters: cell.config.hyperparameters,
    });
    atBits.set(bits, finished(algorithm, sites, values));
  }
  return { ...trained, atBits, classes: dataset.classes };
}

/** A site at more bits, if its quantizer has that. */
function raised(
  { algorithm }: Pick<Divisible, "algorithm">,
  site: QuantizerSite,
  bitWidth: number,
): QuantizerSite | undefined {
  const wide = { ...site, scheme: { ...site.scheme, bitWidth } };
  const quantizer = quantizerOf(algorithm, site);
  const isPossible =
    site.scheme.bitWidth < bitWidth &&
    quantizer.bitWidths === undefined &&
    unsupportedLevels(quantizer, wide) === undefined &&
    algorithm.unsupported?.(wide) === undefined;
  return isPossible ? wide : undefined;
}

/** Layers and other tensors, with what all of their sites may be raised to. */
function raisedLayers(subject: Divisible): readonly RaisedLayer[] {
  const byId = new Map(subject.sites.map((site) => [site.id, site]));
  return partsOf(subject)
    .filter(isWhole)
    .map((part) => {
      const sites = part.sites.flatMap((id) => byId.get(id) ?? []);
      const bits = RAISED_BITS.filter((width) => {
        const low = sites.filter(({ scheme }) => scheme.bitWidth < width);
        return low.length > 0 && low.every((site) => raised(subject, site, width) !== undefined);
      });
      return { part, bits: [...bits, FLOAT_BITS] };
    });
}

/** Images in their order; at most so many. */
function firstImages(dataset: Dataset, set: ImageSet, most: number): Judges {
  const { train } = limitDataset({ ...dataset, train: set }, { trainImages: most });
  const batches = [...batchesInOrder(dataset, train, Math.min(BATCH, train.count))];
  return { batches, areLabeled: set.labels.length > 0 };
}
