import { copyImage } from "./frame";

/** Adds to 4 rows of gradients, of 8 channels each, what all pixels of an image give. */
function tile(
  x: usize,
  stepX: usize,
  stepRow: usize,
  dy: usize,
  dyPixelBytes: usize,
  height: i32,
  width: i32,
  sums: usize,
  sumBytes: usize,
  kept: i32,
): void {
  let a0 = f32x4.splat(0);
  let a1 = f32x4.splat(0);
  let b0 = f32x4.splat(0);
  let b1 = f32x4.splat(0);
  let c0 = f32x4.splat(0);
  let c1 = f32x4.splat(0);
  let d0 = f32x4.splat(0);
  let d1 = f32x4.splat(0);
  for (let row = 0; row < height; row++) {
    let p = x + <usize>row * stepRow;
    for (let column = 0; column < width; column++) {
      const g0 = v128.load(dy);
      const g1 = v128.load(dy, 16);
      let s = v128.load32_splat(p);
      a0 = f32x4.add(a0, f32x4.mul(s, g0));
      a1 = f32x4.add(a1, f32x4.mul(s, g1));
      s = v128.load32_splat(p, 4);
      b0 = f32x4.add(b0, f32x4.mul(s, g0));
      b1 = f32x4.add(b1, f32x4.mul(s, g1));
      s = v128.load32_splat(p, 8);
      c0 = f32x4.add(c0, f32x4.mul(s, g0));
      c1 = f32x4.add(c1, f32x4.mul(s, g1));
      s = v128.load32_splat(p, 12);
      d0 = f32x4.add(d0, f32x4.mul(s, g0));
      d1 = f32x4.add(d1, f32x4.mul(s, g1));
      p += stepX;
      dy += dyPixelBytes;
    }
  }
  v128.store(sums, f32x4.add(v128.load(sums), a0));
  v128.store(sums, f32x4.add(v128.load(sums, 16), a1), 16);
  sums += sumBytes;
  if (kept < 2) return;
  v128.store(sums, f32x4.add(v128.load(sums), b0));
  v128.store(sums, f32x4.add(v128.load(sums, 16), b1), 16);
  sums += sumBytes;
  if (kept < 3) return;
  v128.store(sums, f32x4.add(v128.load(sums), c0));
  v128.store(sums, f32x4.add(v128.load(sums, 16), c1), 16);
  sums += sumBytes;
  if (kept < 4) return;
  v128.store(sums, f32x4.add(v128.load(sums), d0));
  v128.store(sums, f32x4.add(v128.load(sums, 16), d1), 16);
}

/**
 * Gradient of a filter: for every value of a window and every output channel the sum over all pixels.
 *
 * @param runs where each run of a window begins, in bytes from the window's first value
 * @param sums [runs, run length, outputs filled up to tiles of 8]
 * @param gradientFrame one image of gradients whose channels are filled up; 0 where they are whole
 */
export function filterGradient(
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
  dy: usize,
  gradientFrame: usize,
  runs: usize,
  runCount: i32,
  runLength: i32,
  outHeight: i32,
  outWidth: i32,
  strideHeight: i32,
  strideWidth: i32,
  outputs: i32,
  sums: usize,
): void {
  const lanes = (outputs + 7) & ~7;
  const sumBytes = (<usize>lanes) << 2;
  const dyPixelBytes = (<usize>outputs) << 2;
  const pixels = outHeight * outWidth;
  const frameRowBytes = <usize>frameWidth * pixelBytes;
  const stepX = <usize>strideWidth * pixelBytes;
  const stepRow = <usize>strideHeight * frameRowBytes;
  memory.fill(sums, 0, <usize>(runCount * runLength) * sumBytes);
  if (frame != 0) memory.fill(frame, 0, frameBytes);
  if (gradientFrame != 0) memory.fill(gradientFrame, 0, <usize>pixels * sumBytes);
  for (let image = 0; image < count; image++) {
    let source = x + <usize>image * xImageBytes;
    if (frame != 0) {
      copyImage(source, frame + frameOffset, height, width, pixelBytes, pixelBytes, frameRowBytes);
      source = frame;
    }
    let gradient = dy + <usize>image * <usize>pixels * dyPixelBytes;
    if (gradientFrame != 0) {
      copyImage(gradient, gradientFrame, 1, pixels, dyPixelBytes, sumBytes, 0);
      gradient = gradientFrame;
    }
    let target = sums;
    for (let run = 0; run < runCount; run++) {
      const start = source + <usize>load<i32>(runs + ((<usize>run) << 2));
      for (let at = 0; at < runLength; at += 4) {
        const kept = min(4, runLength - at);
        for (let block = 0; block < lanes; block += 8) {
          const blockBytes = (<usize>block) << 2;
          tile(
            start + ((<usize>at) << 2),
            stepX,
            stepRow,
            gradient + blockBytes,
            sumBytes,
            outHeight,
            outWidth,
            target + blockBytes,
            sumBytes,
            kept,
          );
        }
        target += <usize>kept * sumBytes;
      }
    }
  }
}
