import type { BlockForm } from "./blocks.js";
import { ORDER, product, type Rows } from "./matrix.js";
import { floorExponent, nearestExponent } from "./powerOfTwo.js";

/** Exponents that a coefficient's 3 bits tell apart beside 0. */
export const STORED_EXPONENTS = 7;

/** A block as it is stored: coefficients are 0 or signed powers of two from 2^-6 to 1. */
export interface StoredBlock {
  readonly coefficients: Rows;
  /** [3, 3], whole numbers from -127 to 127. */
  readonly basis: Rows;
  /** The basis counts in steps of 2 to this. */
  readonly exponent: number;
}

const WIDTHS = { basis: 8, exponent: 8, coefficient: 4 } as const;
const LARGEST_CODE = 127;
const EXPONENT_BIAS = 128;
const NEGATIVE = 8;

/** Bits of a block: basis and its exponent, one for each row, three coefficients for each row that is not 0. */
export const bitsOfBlock = (rows: number, nonZeroRows: number): number =>
  ORDER * ORDER * WIDTHS.basis + WIDTHS.exponent + rows + nonZeroRows * ORDER * WIDTHS.coefficient;

/** Rows of a block that hold anything but 0. */
export const nonZeroRows = (coefficients: Rows): number =>
  Array.from({ length: coefficients.length / ORDER }, (_, row) => row).filter((row) =>
    coefficients.subarray(row * ORDER, (row + 1) * ORDER).some((value) => value !== 0),
  ).length;

/** The largest coefficient becomes 1, and the basis whole numbers. */
export function toStored(coefficients: Rows, basis: Rows): StoredBlock {
  const largest = (values: Rows) => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const top = largest(coefficients);
  const reach = largest(basis) * top;
  if (reach === 0)
    return {
      coefficients: new Float64Array(coefficients.length),
      basis: basis.map(() => 0),
      exponent: 0,
    };
  // The least with reach <= 127 x 2^exponent.
  const below = floorExponent(reach / LARGEST_CODE);
  const exponent = reach > LARGEST_CODE * 2 ** below ? below + 1 : below;
  return {
    coefficients: coefficients.map((value) => value / top),
    basis: basis.map((value) => Math.round((value * top) / 2 ** exponent)),
    exponent,
  };
}

/** The rows that a stored block stands for; float32 holds them exactly. */
export const rebuilt = ({ coefficients, basis, exponent }: StoredBlock): Rows =>
  product(coefficients, basis).map((value) => value * 2 ** exponent);

/**
 * A layer's blocks one behind another, filled up to whole bytes.
 *
 * @throws RangeError for what the format cannot hold
 */
export function encodeBlocks(blocks: readonly StoredBlock[]): Uint8Array {
  const bits: boolean[] = [];
  const write = (value: number, width: number) => {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** width)
      throw new RangeError(`${String(value)} does not fit in ${String(width)} bits`);
    for (let bit = width - 1; bit >= 0; bit--) bits.push(Math.floor(value / 2 ** bit) % 2 === 1);
  };
  for (const { coefficients, basis, exponent } of blocks) {
    write(exponent + EXPONENT_BIAS, WIDTHS.exponent);
    for (const code of basis) write(code + LARGEST_CODE, WIDTHS.basis);
    const rows = rowsOf(coefficients);
    for (const row of rows) write(Number(row.some((value) => value !== 0)), 1);
    for (const row of rows)
      if (row.some((value) => value !== 0))
        for (const value of row) write(codeOf(value), WIDTHS.coefficient);
  }
  return Uint8Array.from({ length: Math.ceil(bits.length / 8) }, (_, byte) =>
    [0, 1, 2, 3, 4, 5, 6, 7].reduce((sum, i) => 2 * sum + Number(bits[8 * byte + i] ?? false), 0),
  );
}

/**
 * What `encodeBlocks` was given.
 *
 * @throws RangeError where the bytes are too few or too many, or no such blocks
 */
export function decodeBlocks({ blocks }: BlockForm, bytes: Uint8Array): StoredBlock[] {
  let at = 0;
  const read = (width: number): number => {
    let value = 0;
    for (let i = 0; i < width; i++, at++) {
      const byte = bytes[Math.floor(at / 8)];
      if (byte === undefined) throw new RangeError(`${String(bytes.length)} bytes are too few`);
      value = 2 * value + ((byte >> (7 - (at % 8))) & 1);
    }
    return value;
  };
  const decoded = blocks.map((count): StoredBlock => {
    const exponent = read(WIDTHS.exponent) - EXPONENT_BIAS;
    const basis = Float64Array.from(
      { length: ORDER * ORDER },
      () => read(WIDTHS.basis) - LARGEST_CODE,
    );
    const isUsed = Array.from({ length: count }, () => read(1) === 1);
    const coefficients = isUsed.flatMap((used) =>
      [0, 1, 2].map(() => (used ? valueOf(read(WIDTHS.coefficient)) : 0)),
    );
    return { coefficients: Float64Array.from(coefficients), basis, exponent };
  });
  if (Math.ceil(at / 8) !== bytes.length)
    throw new RangeError(
      `${String(bytes.length)} bytes, of which ${String(Math.ceil(at / 8))} are blocks`,
    );
  return decoded;
}

const rowsOf = (coefficients: Rows): Rows[] =>
  Array.from({ length: coefficients.length / ORDER }, (_, row) =>
    coefficients.subarray(row * ORDER, (row + 1) * ORDER),
  );

/** 0 is 0; 1 to 7 are 1 to 2^-6, and the same negated have the fourth bit. */
function codeOf(value: number): number {
  if (value === 0) return 0;
  const code = 1 - nearestExponent(Math.abs(value));
  if (Math.abs(value) !== 2 ** (1 - code) || code < 1 || code > STORED_EXPONENTS)
    throw new RangeError(`${String(value)} is no power of two from 2^-6 to 1`);
  return code + (value < 0 ? NEGATIVE : 0);
}

function valueOf(code: number): number {
  if (code === NEGATIVE) throw new RangeError(`${String(code)} is no coefficient`);
  const size = code % NEGATIVE;
  return size === 0 ? 0 : 2 ** (1 - size) * (code >= NEGATIVE ? -1 : 1);
}
