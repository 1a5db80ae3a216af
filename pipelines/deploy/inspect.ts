import type * as tf from "#tf";
import * as ort from "../onnxruntime.js";
import { rangeOf } from "../../algorithms/affine.js";
import type { Algorithm, QuantizerSite } from "../../algorithms/algorithm.js";
import type { IntegerArithmetic } from "../../backends/backend.js";
import { batchesInOrder, channelsFirst, type Dataset } from "../train/index.js";
import { HistogramCounter, type LevelHistogram } from "./histogram.js";
import { loadModel } from "./inference.js";
import type { CompiledStep, Engine, HostTensors, StepFunction } from "../engine/index.js";
import { type FrozenLevels, type FrozenNetwork, isCodebook, levelsOf } from "../freeze/index.js";
import { exportIntegers, exportOnnx, exposedName, NoForm } from "../export/index.js";
import { endsOf } from "../session.js";
import { asDeployed, featureShapes, forward } from "../network/index.js";

/** What quantization does to one tensor, on real images. */
export interface SiteStatistics {
  readonly id: string;
  /** Smallest and largest value before quantization. */
  readonly low: number;
  readonly high: number;
  /** Share of values beyond the outermost levels. */
  readonly clipped: number;
  /** Signal-to-quantization-noise ratio in decibel; null where quantization changes nothing. */
  readonly sqnr: number | null;
  /** Of the first batch. */
  readonly histogram: LevelHistogram;
  /** Of activations: share of values that are on another level in the deployed network. */
  readonly differing?: number;
  /** Of activations: the largest such distance, in steps (mean steps of a codebook). */
  readonly largestSteps?: number;
  /** The same in the backend's own integer arithmetic, where the network has such a form. */
  readonly integersDiffering?: number;
  readonly integersLargestSteps?: number;
}

export interface Inspection {
  readonly images: number;
  /** Every site in the order of the network. */
  readonly sites: readonly SiteStatistics[];
}

/** Test images that are looked at, if the network's activations leave room for so many. */
const IMAGES = 128;
const BATCH = 32;
/** Values of a network's largest activation that a batch may have. */
const LARGEST_BATCH_VALUES = 4_000_000;

/**
 * Runs the quantized network and its export side by side and compares them tensor by tensor: where
 * ranges are clipped, where precision is lost, and which layer is the first to differ on the
 * runtime.
 *
 * @param frozen as it is exported, before channels are grouped by width
 */
export async function inspectSites(
  engine: Engine,
  frozen: FrozenNetwork,
  {
    algorithm,
    tensors,
    dataset,
    arithmetic,
  }: {
    readonly algorithm: Algorithm;
    readonly tensors: HostTensors;
    readonly dataset: Dataset;
    readonly arithmetic?: IntegerArithmetic | undefined;
  },
): Promise<Inspection> {
  const { network, sites } = frozen;
  const largest = Math.max(
    ...[...featureShapes(network).values()].map((shape) => shape.reduce((a, b) => a * b, 1)),
  );
  const batchSize = Math.max(1, Math.min(BATCH, Math.floor(LARGEST_BATCH_VALUES / largest)));
  const images = Math.min(dataset.test.count, batchSize * (IMAGES / BATCH));
  const step: StepFunction = ({ images: batch, ...current }) => {
    if (batch === undefined) throw new TypeError("inspection needs images");
    const results: Record<string, tf.Tensor> = {};
    const mode = asDeployed(algorithm, { network, sites }, current);
    forward(network, batch, {
      parameters: current,
      training: false,
      bias: mode.bias,
      quantize(id, x) {
        const quantized = mode.quantize(id, x);
        results[before(id)] = x;
        results[after(id)] = quantized;
        return quantized;
      },
    });
    return results;
  };
  const session = await loadModel(exportOnnx(frozen, "inspection", { exposeSites: true }));
  const { image } = endsOf(session);
  const integers = await integerSession(frozen, arithmetic);
  const place = new Map(network.nodes.map(({ name }, index) => [name, index]));
  const placeOf = ({ id }: QuantizerSite) => place.get(id) ?? place.get(layerOf(id)) ?? 0;
  const watched = sites
    .toSorted((a, b) => placeOf(a) - placeOf(b))
    .map((site) => new SiteWatcher(site, levelsOf(frozen, site)));
  const subset = { ...dataset.test, count: images };
  const compiled = new Map<number, CompiledStep>(); // by batch size: the last batch may be smaller
  try {
    for (const batch of batchesInOrder(dataset, subset, batchSize)) {
      const inputs = { images: batch.images, ...tensors };
      const size = batch.labels.data.length;
      const known = compiled.get(size) ?? (await engine.compile(step, inputs));
      compiled.set(size, known);
      const simulated = await known.run(inputs);
      const { data, shape } = channelsFirst(batch.images);
      const feeds = { [image]: new ort.Tensor("float32", data as Float32Array, shape) };
      const deployed = await session.run(feeds);
      const inIntegers = await integers?.run(feeds);
      for (const watcher of watched) {
        const { id, role } = watcher.site;
        const [x, q] = [simulated[before(id)], simulated[after(id)]];
        if (x === undefined || q === undefined) throw new Error(`"${id}" was not quantized`);
        watcher.noise(x.data, q.data);
        if (role !== "activation") continue;
        const there = deployed[exposedName(network, id)]?.data as Float32Array | undefined;
        if (there === undefined) throw new Error(`the export does not show "${id}"`);
        const expected = (q.shape.length === 4 ? channelsFirst(q) : q).data;
        watcher.deployed.compare(expected, there);
        const reference = inIntegers?.[exposedName(network, id)]?.data as Float32Array | undefined;
        if (reference !== undefined) watcher.integers.compare(expected, reference);
      }
    }
  } finally {
    for (const known of compiled.values()) await known.release();
    await session.release();
    await integers?.release();
  }
  return { images, sites: watched.map((watcher) => watcher.result()) };
}

/** The network in its backend's integers, or nothing where it has no such form. */
async function integerSession(
  frozen: FrozenNetwork,
  arithmetic: IntegerArithmetic | undefined,
): Promise<ort.InferenceSession | undefined> {
  if (arithmetic === undefined) return undefined;
  try {
    return await loadModel(exportIntegers(frozen, "inspection", arithmetic, { exposeSites: true }));
  } catch (error) {
    if (error instanceof NoForm) return undefined;
    throw error;
  }
}

const layerOf = (weightSite: string): string => weightSite.replace(/\/kernel$/, "");
const before = (id: string): string => `${id} before`;
const after = (id: string): string => `${id} after`;

/** Gathers the statistics of one site over batches. */
class SiteWatcher {
  readonly site: QuantizerSite;
  readonly #levels: FrozenLevels;
  #low = Infinity;
  #high = -Infinity;
  #signal = 0;
  #noise = 0;
  #clipped = 0;
  #values = 0;
  readonly #histogram: HistogramCounter;
  /** How far the runtime and the integer reference are from the simulation. */
  readonly deployed: Divergence;
  readonly integers: Divergence;

  constructor(site: QuantizerSite, levels: FrozenLevels) {
    this.site = site;
    this.#levels = levels;
    this.#histogram = new HistogramCounter(site, levels);
    this.deployed = new Divergence(meanStep(levels));
    this.integers = new Divergence(meanStep(levels));
  }

  /** @param x values before quantization, @param q after it, in the order of tfjs */
  noise(x: ArrayLike<number>, q: ArrayLike<number>): void {
    const { site } = this;
    // One batch shows the shape; weights are the same in all.
    if (this.#values === 0) this.#histogram.add(x);
    const bounds = boundsOf(site, this.#levels);
    const inner = site.shape.slice(site.channelAxis + 1).reduce((a, b) => a * b, 1);
    for (let i = 0; i < x.length; i++) {
      const value = x[i] ?? 0;
      const channel = bounds.length === 1 ? 0 : Math.floor(i / inner) % bounds.length;
      const [lowest, highest] = bounds[channel] ?? [0, 0];
      if (value < this.#low) this.#low = value;
      if (value > this.#high) this.#high = value;
      if (value < lowest || value > highest) this.#clipped++;
      this.#signal += value ** 2;
      this.#noise += (value - (q[i] ?? 0)) ** 2;
    }
    this.#values += x.length;
  }

  result(): SiteStatistics {
    return {
      id: this.site.id,
      low: rounded(this.#low),
      high: rounded(this.#high),
      clipped: rounded(this.#clipped / this.#values),
      sqnr: this.#noise === 0 ? null : rounded(10 * Math.log10(this.#signal / this.#noise)),
      histogram: this.#histogram.result(),
      ...(this.deployed.found && {
        differing: this.deployed.share,
        largestSteps: this.deployed.largestSteps,
      }),
      ...(this.integers.found && {
        integersDiffering: this.integers.share,
        integersLargestSteps: this.integers.largestSteps,
      }),
    };
  }
}

/** How many values are on another level, and how far. */
class Divergence {
  readonly #step: number;
  #differing = 0;
  #compared = 0;
  #largest = 0;

  constructor(step: number) {
    this.#step = step;
  }

  compare(expected: ArrayLike<number>, found: ArrayLike<number>): void {
    for (let i = 0; i < expected.length; i++) {
      const steps = Math.abs((expected[i] ?? 0) - (found[i] ?? NaN)) / this.#step;
      if (steps > DIFFERENT_LEVEL) this.#differing++;
      if (steps > this.#largest) this.#largest = steps;
    }
    this.#compared += expected.length;
  }

  get found(): boolean {
    return this.#compared > 0;
  }
  get share(): number {
    return rounded(this.#differing / this.#compared);
  }
  get largestSteps(): number {
    return Math.round(this.#largest * 1000) / 1000;
  }
}

/** Statistics are read by people: six digits are enough. */
const rounded = (value: number): number => Number(value.toPrecision(6));

/** Values less than so many steps apart are on the same level. */
const DIFFERENT_LEVEL = 0.25;

/** Steps from an outermost level to what still rounds to it; a little more, for float's noise. */
const REACH = 0.501;

/** Values beyond which all fall on the outermost levels and lie more than half a step from them. */
function boundsOf(site: QuantizerSite, levels: FrozenLevels): (readonly [number, number])[] {
  if (isCodebook(levels)) return [[levels.levels[0] ?? 0, levels.levels.at(-1) ?? 0]];
  const { quantMin, quantMax } = rangeOf(site);
  return Array.from(levels.scale, (scale, channel) => {
    const zeroPoint = levels.zeroPoint[channel] ?? 0;
    return [
      (quantMin - REACH - zeroPoint) * scale,
      (quantMax + REACH - zeroPoint) * scale,
    ] as const;
  });
}

function meanStep(levels: FrozenLevels): number {
  if (!isCodebook(levels)) return levels.scale[0] ?? 1;
  const [first = 0, last = 1] = [levels.levels[0], levels.levels.at(-1)];
  return (last - first) / (levels.levels.length - 1);
}
