import type { QuantizerSite } from "../quantizer.js";
import { ORDER, type Rows } from "./matrix.js";

/** A kernel as matrices with rows of three, each of which is decomposed alone. */
export interface BlockForm {
  /** Rows of each block; blocks of a filter follow one another. */
  readonly blocks: readonly number[];
  /** Whether rows are those of 3 x 3 filters. */
  readonly filterRows: boolean;
  /** Index in the kernel of every number of every row; -1 where a row was filled up with 0. */
  readonly indices: Int32Array;
}

/** The most rows of a block. */
const FILTER_ROWS = 64 * ORDER;
const DENSE_ROWS = 171;
/** With fewer rows a basis and its coefficients take more than 8 bits a weight. */
const LEAST_ROWS = 7;

/** A tensor of weights, in the order of tfjs. */
export type WeightSite = Pick<QuantizerSite, "shape" | "channelAxis">;

/**
 * How a layer's weights are cut into blocks: 3 x 3 filters by their rows; 1 x 1 filters and the weights of a dense
 * layer's unit in threes. Nothing for other layers, and for filters too short to gain.
 */
export function blockForm({ shape, channelAxis }: WeightSite): BlockForm | undefined {
  const [height, width] = shape;
  const isDense = shape.length === 2;
  const filterRows = !isDense && height === ORDER && width === ORDER;
  const isLine = isDense || (height === 1 && width === 1);
  const isDepthwise = channelAxis !== shape.length - 1;
  if (isDepthwise || !(filterRows || isLine)) return undefined;
  const filters = shape.at(-1) ?? 0;
  const length = shape.slice(0, -1).reduce((a, b) => a * b, 1);
  const rows = Math.ceil(length / ORDER);
  if (rows < LEAST_ROWS) return undefined;
  const most = filterRows ? FILTER_ROWS : isDense ? DENSE_ROWS : Infinity;
  const indices = new Int32Array(filters * rows * ORDER);
  for (let filter = 0; filter < filters; filter++)
    for (let i = 0; i < rows * ORDER; i++) {
      const tap = filterRows ? tapOf(i, length) : i;
      indices[filter * rows * ORDER + i] = i < length ? tap * filters + filter : -1;
    }
  const blocks = Array.from({ length: filters }, () => equalParts(rows, most)).flat();
  return { blocks, filterRows, indices };
}

/** Rows go through channels, then through a filter's rows; kernels lie [row, column, channel]. */
function tapOf(i: number, length: number): number {
  const channels = length / (ORDER * ORDER);
  const column = i % ORDER;
  const row = Math.floor(i / ORDER) % ORDER;
  const channel = Math.floor(i / (ORDER * ORDER));
  return (row * ORDER + column) * channels + channel;
}

/** As few parts as fit, whose sizes differ by one at most. */
function equalParts(rows: number, most: number): number[] {
  const parts = Math.max(1, Math.ceil(rows / most));
  return Array.from({ length: parts }, (_, i) => Math.floor((rows + i) / parts));
}

export function toRows({ indices }: BlockForm, kernel: Float32Array): Rows {
  return Float64Array.from(indices, (index) => (index < 0 ? 0 : (kernel[index] ?? NaN)));
}

export function toKernel({ indices }: BlockForm, rows: Rows): Float32Array {
  const kernel = new Float32Array(indices.reduce((last, index) => Math.max(last, index), -1) + 1);
  indices.forEach((index, i) => {
    if (index >= 0) kernel[index] = rows[i] ?? NaN;
  });
  return kernel;
}
