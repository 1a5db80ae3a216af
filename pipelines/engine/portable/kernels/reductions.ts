// Sums and other reductions. Sums are sums of sums of stretches: errors stay small, and the order is fixed.

/** Rows whose values are added up before they join the sum. */
const STRETCH: i32 = 64;

/** [outer, rows, columns] -> [outer, columns], times a factor */
export function sumColumns(
  x: usize,
  y: usize,
  outer: i32,
  rows: i32,
  columns: i32,
  factor: f32,
): void {
  const rowBytes = (<usize>columns) << 2;
  const scale = f32x4.splat(factor);
  for (let i = 0; i < outer; i++) {
    let column = 0;
    for (; column + 8 <= columns; column += 8) {
      let sum0 = f32x4.splat(0);
      let sum1 = f32x4.splat(0);
      let from = x + ((<usize>column) << 2);
      for (let row = 0; row < rows; row += STRETCH) {
        const end = from + <usize>min(STRETCH, rows - row) * rowBytes;
        let part0 = f32x4.splat(0);
        let part1 = f32x4.splat(0);
        for (; from < end; from += rowBytes) {
          part0 = f32x4.add(part0, v128.load(from));
          part1 = f32x4.add(part1, v128.load(from, 16));
        }
        sum0 = f32x4.add(sum0, part0);
        sum1 = f32x4.add(sum1, part1);
      }
      v128.store(y + ((<usize>column) << 2), f32x4.mul(sum0, scale));
      v128.store(y + ((<usize>column) << 2), f32x4.mul(sum1, scale), 16);
    }
    for (; column + 4 <= columns; column += 4) {
      let sum = f32x4.splat(0);
      let from = x + ((<usize>column) << 2);
      for (let row = 0; row < rows; row += STRETCH) {
        const end = from + <usize>min(STRETCH, rows - row) * rowBytes;
        let part = f32x4.splat(0);
        for (; from < end; from += rowBytes) part = f32x4.add(part, v128.load(from));
        sum = f32x4.add(sum, part);
      }
      v128.store(y + ((<usize>column) << 2), f32x4.mul(sum, scale));
    }
    for (; column < columns; column++) {
      let sum: f32 = 0;
      let from = x + ((<usize>column) << 2);
      for (let row = 0; row < rows; row += STRETCH) {
        const end = from + <usize>min(STRETCH, rows - row) * rowBytes;
        let part: f32 = 0;
        for (; from < end; from += rowBytes) part += load<f32>(from);
        sum += part;
      }
      store<f32>(y + ((<usize>column) << 2), sum * factor);
    }
    x += <usize>rows * rowBytes;
    y += rowBytes;
  }
}

/** The sum of neighbouring values: four lanes at a time, in stretches. */
function sumOf(x: usize, length: i32): f32 {
  let sums = f32x4.splat(0);
  let at = x;
  const vectors = length >> 2;
  for (let i = 0; i < vectors; i += STRETCH) {
    const end = at + ((<usize>min(STRETCH, vectors - i)) << 4);
    let part = f32x4.splat(0);
    for (; at < end; at += 16) part = f32x4.add(part, v128.load(at));
    sums = f32x4.add(sums, part);
  }
  let sum =
    f32x4.extract_lane(sums, 0) +
    f32x4.extract_lane(sums, 1) +
    (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3));
  for (const end = x + ((<usize>length) << 2); at < end; at += 4) sum += load<f32>(at);
  return sum;
}

function highest(x: usize, length: i32, sign: f32): i32 {
  let best = 0;
  let bestValue = load<f32>(x) * sign;
  for (let i = 1; i < length; i++) {
    const value = load<f32>(x + ((<usize>i) << 2)) * sign;
    if (value > bestValue) {
      best = i;
      bestValue = value;
    }
  }
  return best;
}

/**
 * [rows, length] -> [rows], times a factor
 *
 * @param operation 0 sum, 1 maximum, 2 minimum, 3 product, 4 index of the maximum, 5 of the minimum
 */
export function reduceRows(
  operation: i32,
  x: usize,
  y: usize,
  rows: i32,
  length: i32,
  factor: f32,
): void {
  for (let row = 0; row < rows; row++) {
    let value: f32;
    if (operation == 0) {
      value = sumOf(x, length) * factor;
    } else if (operation >= 4) {
      value = <f32>highest(x, length, operation == 4 ? 1 : -1);
    } else {
      value = load<f32>(x);
      for (let i = 1; i < length; i++) {
        const next = load<f32>(x + ((<usize>i) << 2));
        if (operation == 1) value = max(value, next);
        else if (operation == 2) value = min(value, next);
        else value *= next;
      }
    }
    store<f32>(y, value);
    x += (<usize>length) << 2;
    y += 4;
  }
}

/** [rows, length], along the last axis */
export function logSoftmax(x: usize, y: usize, rows: i32, length: i32): void {
  for (let row = 0; row < rows; row++) {
    const largest = load<f32>(x + ((<usize>highest(x, length, 1)) << 2));
    let sum: f32 = 0;
    for (let i = 0; i < length; i++) {
      sum += Mathf.exp(load<f32>(x + ((<usize>i) << 2)) - largest);
    }
    const shift = Mathf.log(sum);
    for (let i = 0; i < length; i++) {
      store<f32>(y, load<f32>(x) - largest - shift);
      x += 4;
      y += 4;
    }
  }
}

/** [rows, length], along the last axis */
export function softmax(x: usize, y: usize, rows: i32, length: i32): void {
  for (let row = 0; row < rows; row++) {
    const largest = load<f32>(x + ((<usize>highest(x, length, 1)) << 2));
    let sum: f32 = 0;
    for (let i = 0; i < length; i++) {
      const value = Mathf.exp(load<f32>(x + ((<usize>i) << 2)) - largest);
      store<f32>(y + ((<usize>i) << 2), value);
      sum += value;
    }
    for (let i = 0; i < length; i++) {
      store<f32>(y, load<f32>(y) / sum);
      y += 4;
    }
    x += (<usize>length) << 2;
  }
}

/** [outer, length, inner]: sums of all values up to each, of those before it if exclusive */
export function cumulate(
  x: usize,
  y: usize,
  outer: i32,
  length: i32,
  inner: i32,
  exclusive: bool,
  reverse: bool,
): void {
  const step = (<usize>inner) << 2;
  for (let i = 0; i < outer; i++) {
    for (let k = 0; k < inner; k++) {
      let sum: f32 = 0;
      for (let n = 0; n < length; n++) {
        const at = <usize>(reverse ? length - 1 - n : n) * step + ((<usize>k) << 2);
        const value = load<f32>(x + at);
        if (exclusive) {
          store<f32>(y + at, sum);
          sum += value;
        } else {
          sum += value;
          store<f32>(y + at, sum);
        }
      }
    }
    x += <usize>length * step;
    y += <usize>length * step;
  }
}

/**
 * How often each of the integers below `size` is there, or the sum of their weights; others count nothing.
 *
 * @param weights 0 where each counts 1
 */
export function countIntegers(x: usize, weights: usize, y: usize, count: i32, size: i32): void {
  memory.fill(y, 0, (<usize>size) << 2);
  for (let i = 0; i < count; i++) {
    const offset = (<usize>i) << 2;
    const integer = <i32>load<f32>(x + offset);
    if (integer < 0 || integer >= size) continue;
    const place = y + ((<usize>integer) << 2);
    store<f32>(place, load<f32>(place) + (weights == 0 ? 1 : load<f32>(weights + offset)));
  }
}
