// Copies, look-ups and fillings: whatever moves values without computing.

/** How many axes a strided copy can have. */
const MOST_AXES: i32 = 8;
const counters: usize = memory.data(32, 4);

/**
 * Copies values between any two layouts. Strides are in bytes, may be 0 (repeated) or negative.
 *
 * @param axes for each axis its size, the source's stride and the target's, 32 bits each
 * @param rank 1 to 8
 */
export function copyStrided(source: usize, target: usize, axes: usize, rank: i32): void {
  const last = axes + <usize>(rank - 1) * 12;
  const length = load<i32>(last);
  const sourceStep = <usize>load<i32>(last, 4);
  const targetStep = <usize>load<i32>(last, 8);
  memory.fill(counters, 0, <usize>MOST_AXES * 4);
  for (;;) {
    if (sourceStep == 4 && targetStep == 4) {
      memory.copy(target, source, (<usize>length) << 2);
    } else {
      let from = source;
      let to = target;
      for (let i = 0; i < length; i++) {
        store<f32>(to, load<f32>(from));
        from += sourceStep;
        to += targetStep;
      }
    }
    let axis = rank - 2;
    for (; axis >= 0; axis--) {
      const entry = axes + <usize>axis * 12;
      const counter = counters + ((<usize>axis) << 2);
      const size = load<i32>(entry);
      const next = load<i32>(counter) + 1;
      if (next < size) {
        store<i32>(counter, next);
        source += <usize>load<i32>(entry, 4);
        target += <usize>load<i32>(entry, 8);
        break;
      }
      store<i32>(counter, 0);
      source -= <usize>(load<i32>(entry, 4) * (size - 1));
      target -= <usize>(load<i32>(entry, 8) * (size - 1));
    }
    if (axis < 0) return;
  }
}

export function fill(target: usize, count: i32, value: f32): void {
  for (let i = 0; i < count; i++) store<f32>(target + ((<usize>i) << 2), value);
}

/** [outer, size, inner] and indices of so many entries -> [outer, count, inner] */
export function gather(
  source: usize,
  indices: usize,
  target: usize,
  outer: i32,
  size: i32,
  inner: i32,
  count: i32,
): void {
  const bytes = (<usize>inner) << 2;
  for (let i = 0; i < outer; i++) {
    for (let k = 0; k < count; k++) {
      const index = <i32>load<f32>(indices + ((<usize>k) << 2));
      if (index < 0 || index >= size) unreachable();
      const from = source + <usize>index * bytes;
      if (inner == 1) store<f32>(target, load<f32>(from));
      else memory.copy(target, from, bytes);
      target += bytes;
    }
    source += <usize>size * bytes;
  }
}

/** Indices beyond the depth give rows of `off`. */
export function oneHot(
  indices: usize,
  target: usize,
  count: i32,
  depth: i32,
  on: f32,
  off: f32,
): void {
  for (let i = 0; i < count; i++) {
    const index = <i32>load<f32>(indices + ((<usize>i) << 2));
    for (let k = 0; k < depth; k++) {
      store<f32>(target, k == index ? on : off);
      target += 4;
    }
  }
}
