import { rangeOf } from "../../algorithms/affine.js";
import type { QuantizerSite } from "../../algorithms/algorithm.js";
import { isCodebook, type FrozenLevels } from "../freeze/index.js";

/** How a tensor's values lie on the grid that they are rounded to. */
export interface LevelHistogram {
  /**
   * Outer ends of the bins: in integers of the grid (x / scale + zeroPoint), where each channel has
   * its own scale; in real units for levels without equal steps. Values beyond are in the outermost bins.
   */
  readonly from: number;
  readonly to: number;
  /** First and last of the integers, or every level of a codebook that has no equal steps. */
  readonly levels: readonly number[];
  readonly uniform: boolean;
  /** Counts of bins of equal width, as bytes in base64: 255 is the fullest bin, 0 only an empty one. */
  readonly counts: string;
}

/** Enough for four bits to show their levels; few enough to store for every tensor. */
const BINS = 64;
/** What is shown beyond the outermost levels, as a share of what lies between them. */
const BEYOND = 1 / 8;
/** Codebooks of more levels have only their ends. */
const MOST_LEVELS = 32;

/** Counts values by where they fall on a site's grid. */
export class HistogramCounter {
  readonly #site: QuantizerSite;
  readonly #grid: FrozenLevels;
  readonly #from: number;
  readonly #to: number;
  readonly #levels: readonly number[];
  readonly #counts = new Float64Array(BINS);

  constructor(site: QuantizerSite, grid: FrozenLevels) {
    this.#site = site;
    this.#grid = grid;
    this.#levels = shownLevels(site, grid);
    const [first, last] = [this.#levels[0] ?? 0, this.#levels.at(-1) ?? 1];
    const beyond = Math.max((last - first) * BEYOND, isCodebook(grid) ? 0 : 1);
    [this.#from, this.#to] = [first - beyond, last + beyond];
  }

  /** @param x values before quantization, in the order of tfjs */
  add(x: ArrayLike<number>): void {
    const { shape, channelAxis } = this.#site;
    const inner = shape.slice(channelAxis + 1).reduce((a, b) => a * b, 1);
    const grid = this.#grid;
    const channels = isCodebook(grid) ? 1 : grid.scale.length;
    const perBin = (this.#to - this.#from) / BINS;
    for (let i = 0; i < x.length; i++) {
      const channel = channels === 1 ? 0 : Math.floor(i / inner) % channels;
      const value = x[i] ?? 0;
      const place = isCodebook(grid)
        ? value
        : value / (grid.scale[channel] ?? 1) + (grid.zeroPoint[channel] ?? 0);
      const bin = Math.min(BINS - 1, Math.max(0, Math.floor((place - this.#from) / perBin)));
      this.#counts[bin] = (this.#counts[bin] ?? 0) + 1;
    }
  }

  result(): LevelHistogram {
    const most = Math.max(1, ...this.#counts);
    const heights = Uint8Array.from(this.#counts, (count) => Math.ceil((255 * count) / most));
    return {
      from: this.#from,
      to: this.#to,
      levels: this.#levels,
      uniform: !isCodebook(this.#grid),
      counts: Buffer.from(heights).toString("base64"),
    };
  }
}

function shownLevels(site: QuantizerSite, grid: FrozenLevels): readonly number[] {
  if (!isCodebook(grid)) {
    const { quantMin, quantMax } = rangeOf(site);
    return [quantMin, quantMax];
  }
  const levels = Array.from(grid.levels, (level) => Number(level.toPrecision(6)));
  return levels.length <= MOST_LEVELS ? levels : [levels[0] ?? 0, levels.at(-1) ?? 0];
}
