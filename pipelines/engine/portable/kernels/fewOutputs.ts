import { copyImage } from "./frame";

/** Sum of the products of a run with its weights, four at a time. */
function dot(x: usize, weights: usize, length: i32, sums: v128): v128 {
  const end = x + ((<usize>(length & ~3)) << 2);
  for (; x < end; x += 16) {
    sums = f32x4.add(sums, f32x4.mul(v128.load(x), v128.load(weights)));
    weights += 16;
  }
  const rest = length & 3;
  for (let i = 0; i < rest; i++) {
    const product = load<f32>(x) * load<f32>(weights);
    sums = f32x4.replace_lane(sums, 0, f32x4.extract_lane(sums, 0) + product);
    x += 4;
    weights += 4;
  }
  return sums;
}

/**
 * What `convolve` does, for outputs of so few channels that most lanes of its tiles would be empty:
 * lanes are values of a window instead.
 *
 * @param filter [outputs, runs, run length]
 */
export function convolveFew(
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
  const stepX = <usize>strideWidth * pixelBytes;
  const stepRow = <usize>strideHeight * frameRowBytes;
  if (frame != 0) memory.fill(frame, 0, frameBytes);
  for (let image = 0; image < count; image++) {
    let source = x + <usize>image * xImageBytes;
    if (frame != 0) {
      copyImage(source, frame + frameOffset, height, width, pixelBytes, pixelBytes, frameRowBytes);
      source = frame;
    }
    for (let row = 0; row < outHeight; row++) {
      let window = source + <usize>row * stepRow;
      let target = y + <usize>image * yImageBytes + <usize>row * yRowBytes;
      for (let column = 0; column < outWidth; column++) {
        let weights = filter;
        for (let output = 0; output < outputs; output++) {
          let sums = f32x4.splat(0);
          for (let run = 0; run < runCount; run++) {
            const offset = <usize>load<i32>(runs + ((<usize>run) << 2));
            sums = dot(window + offset, weights, runLength, sums);
            weights += (<usize>runLength) << 2;
          }
          const sum =
            f32x4.extract_lane(sums, 0) +
            f32x4.extract_lane(sums, 1) +
            (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3));
          store<f32>(target + ((<usize>output) << 2), sum);
        }
        window += stepX;
        target += yPixelBytes;
      }
    }
  }
}
