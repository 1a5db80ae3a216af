import { rangeOf } from "../../algorithms/affine.js";
import type { QuantizerSite } from "../../algorithms/algorithm.js";
import { type FrozenLevels, isCodebook } from "../freeze/index.js";
import { Divergence, rounded } from "./divergence.js";
import { HistogramCounter, type LevelHistogram } from "./histogram.js";

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
  /** Those of them that the simulation had on the border between both levels. */
  readonly ties?: number;
  /** Of activations: the largest such distance, in steps (mean steps of a codebook). */
  readonly largestSteps?: number;
  /** The same in the backend's own integer arithmetic, where the network has such a form. */
  readonly integersDiffering?: number;
  readonly integersLargestSteps?: number;
}

/** Gathers the statistics of one site over batches. */
export class SiteWatcher {
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
        ties: this.deployed.ties,
        largestSteps: this.deployed.largestSteps,
      }),
      ...(this.integers.found && {
        integersDiffering: this.integers.share,
        integersLargestSteps: this.integers.largestSteps,
      }),
    };
  }
}

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
