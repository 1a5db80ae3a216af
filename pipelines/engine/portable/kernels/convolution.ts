import { copyImage } from "./frame";

// Convolutions of images with channels last. Everything goes through tiles of 4 pixels and 8 channels,
// which fill the registers that every processor has.

/** Channels of a tile; filters and gradients are filled up to whole tiles with zeros. */
const LANES: i32 = 8;
const TILE_BYTES: usize = 32;

/** A tile's sums, where fewer than 8 channels or 4 pixels are kept. */
const spare: usize = memory.data(128, 16);

/**
 * Puts a filter into the order in which tiles read it: [blocks of outputs][taps][inputs][8].
 *
 * @param taps for each tap the offset of its weights, in bytes
 * @param inputStride between weights of neighbouring inputs, in bytes; the same for outputs
 */
export function packFilter(
  filter: usize,
  packed: usize,
  taps: usize,
  tapCount: i32,
  inputs: i32,
  inputStride: usize,
  outputs: i32,
  outputStride: usize,
): void {
  for (let block = 0; block < outputs; block += LANES) {
    const lanes = min(LANES, outputs - block);
    for (let tap = 0; tap < tapCount; tap++) {
      const base =
        filter + <usize>load<i32>(taps + ((<usize>tap) << 2)) + <usize>block * outputStride;
      for (let input = 0; input < inputs; input++) {
        const from = base + <usize>input * inputStride;
        for (let lane = 0; lane < LANES; lane++) {
          const value: f32 = lane < lanes ? load<f32>(from + <usize>lane * outputStride) : 0;
          store<f32>(packed + ((<usize>lane) << 2), value);
        }
        packed += TILE_BYTES;
      }
    }
  }
}

/** Sums of one tile: 4 pixels, whose windows begin at x0 to x3, with 8 channels of a filter. */
function tile(
  x0: usize,
  x1: usize,
  x2: usize,
  x3: usize,
  filter: usize,
  runs: usize,
  runCount: i32,
  runLength: i32,
  y0: usize,
  y1: usize,
  y2: usize,
  y3: usize,
): void {
  let a0 = f32x4.splat(0);
  let a1 = f32x4.splat(0);
  let b0 = f32x4.splat(0);
  let b1 = f32x4.splat(0);
  let c0 = f32x4.splat(0);
  let c1 = f32x4.splat(0);
  let d0 = f32x4.splat(0);
  let d1 = f32x4.splat(0);
  for (let run = 0; run < runCount; run++) {
    const offset = <usize>load<i32>(runs + ((<usize>run) << 2));
    let p0 = x0 + offset;
    let p1 = x1 + offset;
    let p2 = x2 + offset;
    let p3 = x3 + offset;
    const end = p0 + ((<usize>runLength) << 2);
    while (p0 < end) {
      const w0 = v128.load(filter);
      const w1 = v128.load(filter, 16);
      let s = v128.load32_splat(p0);
      a0 = f32x4.add(a0, f32x4.mul(s, w0));
      a1 = f32x4.add(a1, f32x4.mul(s, w1));
      s = v128.load32_splat(p1);
      b0 = f32x4.add(b0, f32x4.mul(s, w0));
      b1 = f32x4.add(b1, f32x4.mul(s, w1));
      s = v128.load32_splat(p2);
      c0 = f32x4.add(c0, f32x4.mul(s, w0));
      c1 = f32x4.add(c1, f32x4.mul(s, w1));
      s = v128.load32_splat(p3);
      d0 = f32x4.add(d0, f32x4.mul(s, w0));
      d1 = f32x4.add(d1, f32x4.mul(s, w1));
      p0 += 4;
      p1 += 4;
      p2 += 4;
      p3 += 4;
      filter += 32;
    }
  }
  v128.store(y0, a0);
  v128.store(y0, a1, 16);
  v128.store(y1, b0);
  v128.store(y1, b1, 16);
  v128.store(y2, c0);
  v128.store(y2, c1, 16);
  v128.store(y3, d0);
  v128.store(y3, d1, 16);
}

/**
 * Convolves images with a packed filter. Windows are runs of neighbouring values: for each row of a
 * window the values of all its columns and channels lie side by side.
 *
 * @param x images [count, height, width, inputs]; distances of pixels are in bytes
 * @param runs where each run of a window begins, in bytes from the window's first value
 */
export function convolve(
  x: usize,
  xImageBytes: usize,
  height: i32,
  width: i32,
  pixelBytes: usize,
  frame: usize,
  frameBytes: usize,
  frameWidth: i32,
  frameOffset: usize,
  count: i32,
  filter: usize,
  runs: usize,
  runCount: i32,
  runLength: i32,
  outHeight: i32,
  outWidth: i32,
  strideHeight: i32,
  strideWidth: i32,
  outputs: i32,
  y: usize,
  yImageBytes: usize,
  yRowBytes: usize,
  yPixelBytes: usize,
): void {
  const frameRowBytes = <usize>frameWidth * pixelBytes;
  const blockBytes = <usize>(runCount * runLength) * TILE_BYTES;
  const pixels = outHeight * outWidth;
  const stepX = <usize>strideWidth * pixelBytes;
  const stepRow = <usize>strideHeight * frameRowBytes;
  if (frame != 0) memory.fill(frame, 0, frameBytes);
  for (let image = 0; image < count; image++) {
    let source = x + <usize>image * xImageBytes;
    if (frame != 0) {
      copyImage(source, frame + frameOffset, height, width, pixelBytes, pixelBytes, frameRowBytes);
      source = frame;
    }
    const target = y + <usize>image * yImageBytes;
    for (let block = 0; block < outputs; block += LANES) {
      const weights = filter + <usize>(block / LANES) * blockBytes;
      const kept = min(LANES, outputs - block);
      const blockTarget = target + ((<usize>block) << 2);
      let row = 0;
      let column = 0;
      for (let pixel = 0; pixel < pixels; pixel += 4) {
        const x0 = source + <usize>row * stepRow + <usize>column * stepX;
        const y0 = blockTarget + <usize>row * yRowBytes + <usize>column * yPixelBytes;
        let x1 = x0,
          x2 = x0,
          x3 = x0;
        let y1 = y0,
          y2 = y0,
          y3 = y0;
        const left = pixels - pixel;
        if (++column == outWidth) {
          column = 0;
          row++;
        }
        if (left > 1) {
          x1 = source + <usize>row * stepRow + <usize>column * stepX;
          y1 = blockTarget + <usize>row * yRowBytes + <usize>column * yPixelBytes;
          if (++column == outWidth) {
            column = 0;
            row++;
          }
        }
        if (left > 2) {
          x2 = source + <usize>row * stepRow + <usize>column * stepX;
          y2 = blockTarget + <usize>row * yRowBytes + <usize>column * yPixelBytes;
          if (++column == outWidth) {
            column = 0;
            row++;
          }
        }
        if (left > 3) {
          x3 = source + <usize>row * stepRow + <usize>column * stepX;
          y3 = blockTarget + <usize>row * yRowBytes + <usize>column * yPixelBytes;
          if (++column == outWidth) {
            column = 0;
            row++;
          }
        }
        if (kept == LANES) {
          // Pixels that are not there are computed as the first one, to the same values.
          tile(x0, x1, x2, x3, weights, runs, runCount, runLength, y0, y1, y2, y3);
        } else {
          tile(
            x0,
            x1,
            x2,
            x3,
            weights,
            runs,
            runCount,
            runLength,
            spare,
            spare + 32,
            spare + 64,
            spare + 96,
          );
          const bytes = (<usize>kept) << 2;
          memory.copy(y0, spare, bytes);
          if (left > 1) memory.copy(y1, spare + 32, bytes);
          if (left > 2) memory.copy(y2, spare + 64, bytes);
          if (left > 3) memory.copy(y3, spare + 96, bytes);
        }
      }
    }
  }
}
