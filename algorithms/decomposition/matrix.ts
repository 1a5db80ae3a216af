/** Columns of every matrix here, and rows of a basis. */
export const ORDER = 3;

/** Rows of three numbers, one behind another. */
export type Rows = Float64Array;

/** Q B: rows times a basis [3, 3]. */
export function product(rows: Rows, basis: Rows): Rows {
  const result = new Float64Array(rows.length);
  for (let at = 0; at < rows.length; at += ORDER)
    for (let column = 0; column < ORDER; column++)
      for (let k = 0; k < ORDER; k++)
        result[at + column] =
          (result[at + column] ?? 0) + (rows[at + k] ?? 0) * (basis[k * ORDER + column] ?? 0);
  return result;
}

/** The Frobenius norm of a difference. */
export function distance(a: Rows, b: Rows): number {
  return Math.sqrt(
    a.reduce((sum, value, i) => sum + (value - (b[i] ?? 0)) * (value - (b[i] ?? 0)), 0),
  );
}

/** The basis with the least ||A - Q B||, by normal equations. */
export function leastSquaresBasis(coefficients: Rows, target: Rows): Rows {
  const gram = transposedProduct(coefficients, coefficients);
  return product(inverse(gram) ?? ridgeInverse(gram), transposedProduct(coefficients, target));
}

/** The coefficients with the least ||A - C B||: A B^-1. */
export function leastSquaresRows(basis: Rows, target: Rows): Rows {
  const whole = inverse(basis);
  if (whole !== undefined) return product(target, whole);
  const transposed = transpose(basis);
  return product(product(target, transposed), ridgeInverse(product(basis, transposed)));
}

/** Of the trace, what is added to the diagonal where columns depend on each other. */
const RIDGE = 1e-8;
/** Below this part of the largest value, a pivot counts as 0. */
const DEPENDENT = 1e-10;

function ridgeInverse(gram: Rows): Rows {
  const trace = [0, 1, 2].reduce((sum, i) => sum + (gram[i * ORDER + i] ?? 0), 0);
  if (trace === 0) return new Float64Array(gram.length);
  const ridged = gram.map((value, i) => (i % (ORDER + 1) === 0 ? value + RIDGE * trace : value));
  return inverse(ridged) ?? new Float64Array(gram.length);
}

/** By elimination with pivots; nothing for a matrix whose rows depend on each other. */
function inverse(matrix: Rows): Rows | undefined {
  const width = 2 * ORDER;
  const rows = [0, 1, 2].map((i) =>
    Float64Array.from({ length: width }, (_, j) =>
      j < ORDER ? (matrix[i * ORDER + j] ?? 0) : Number(j - ORDER === i),
    ),
  );
  const largest = matrix.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  for (let column = 0; column < ORDER; column++) {
    const size = (row: Rows | undefined) => Math.abs(row?.[column] ?? 0);
    const below = rows.slice(column).toSorted((a, b) => size(b) - size(a));
    rows.splice(column, below.length, ...below);
    const pivot = rows[column] ?? new Float64Array(width);
    const value = pivot[column] ?? 0;
    if (!(Math.abs(value) > DEPENDENT * largest)) return undefined;
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = (row[column] ?? 0) / value;
      for (let j = 0; j < width; j++) row[j] = (row[j] ?? 0) - factor * (pivot[j] ?? 0);
    }
  }
  return Float64Array.from({ length: ORDER * ORDER }, (_, i) => {
    const row = rows[Math.floor(i / ORDER)];
    return (row?.[ORDER + (i % ORDER)] ?? 0) / (row?.[Math.floor(i / ORDER)] ?? 1);
  });
}

/** X' Y of two tall matrices. */
function transposedProduct(x: Rows, y: Rows): Rows {
  const result = new Float64Array(ORDER * ORDER);
  for (let at = 0; at < x.length; at += ORDER)
    for (let i = 0; i < ORDER; i++)
      for (let j = 0; j < ORDER; j++)
        result[i * ORDER + j] = (result[i * ORDER + j] ?? 0) + (x[at + i] ?? 0) * (y[at + j] ?? 0);
  return result;
}

const transpose = (matrix: Rows): Rows =>
  matrix.map((_, i) => matrix[(i % ORDER) * ORDER + Math.floor(i / ORDER)] ?? 0);
