import { blockForm, toKernel, toRows, type BlockForm, type WeightSite } from "./blocks.js";
import { decompose } from "./decompose.js";
import { ORDER, type Rows } from "./matrix.js";
import { pruneRows } from "./pruneRows.js";
import {
  decodeBlocks,
  encodeBlocks,
  rebuilt,
  STORED_EXPONENTS,
  toStored,
  type StoredBlock,
} from "./storage.js";

export interface ProjectionOptions {
  /** Smallest coefficient, in root mean squares of the weights that are not 0. */
  readonly threshold: number;
  /** Rows of 3 x 3 filters that are set to 0 before. */
  readonly prunedRows: number;
}

/** A kernel that is stored decomposed. */
export interface Projection {
  /** As it is rebuilt from the bytes. */
  readonly kernel: Float32Array;
  readonly bytes: Uint8Array;
}

/** The nearest kernel that the format holds, as far as it is found; nothing for layers that it leaves alone. */
export function project(
  site: WeightSite,
  weights: Float32Array,
  { threshold, prunedRows }: ProjectionOptions,
): Projection | undefined {
  const form = blockForm(site);
  if (form === undefined) return undefined;
  const pruned = form.filterRows ? pruneRows(weights, site.shape.at(-1) ?? 1, prunedRows) : weights;
  const options = {
    threshold: threshold * rootMeanSquare(pruned.filter((value) => value !== 0)),
    rowRule: form.filterRows,
    exponents: STORED_EXPONENTS,
  };
  const blocks = blocksOf(form, toRows(form, pruned)).map((block) => {
    const { coefficients, basis } = decompose(block, options);
    return toStored(coefficients, basis);
  });
  const bytes = encodeBlocks(blocks);
  return { kernel: rebuiltKernel(form, decodeBlocks(form, bytes)), bytes };
}

export function rebuiltKernel(form: BlockForm, blocks: readonly StoredBlock[]): Float32Array {
  const rows = new Float64Array(form.indices.length);
  let at = 0;
  for (const block of blocks) {
    rows.set(rebuilt(block), at);
    at += block.coefficients.length;
  }
  return toKernel(form, rows);
}

function blocksOf({ blocks }: BlockForm, rows: Rows): Rows[] {
  let at = 0;
  return blocks.map((count) => rows.subarray(at, (at += count * ORDER)));
}

const rootMeanSquare = (values: Float32Array): number =>
  values.length === 0
    ? 0
    : Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
