import { copyImage } from "./frame";

// Convolutions that keep channels apart, 4 of them at a time: frames and filters are filled up to that.

const spare: usize = memory.data(16, 16);

/**
 * @param filter [taps, channels filled up to 4]
 * @param taps where each tap of a window lies, in bytes from the window's first value
 * @param frameStep, frameRowStep bytes from one pixel of the images to the next in the frame
 */
export function convolveDepthwise(
  x: usize,
  height: i32,
  width: i32,
  channels: i32,
  frame: usize,
  frameBytes: usize,
  frameOffset: usize,
  frameStep: usize,
  frameRowStep: usize,
  count: i32,
  filter: usize,
  taps: usize,
  tapCount: i32,
  outHeight: i32,
  outWidth: i32,
  stepX: usize,
  stepRow: usize,
  y: usize,
): void {
  const pixelBytes = (<usize>channels) << 2;
  const filterBytes = (<usize>((channels + 3) & ~3)) << 2;
  memory.fill(frame, 0, frameBytes);
  for (let image = 0; image < count; image++) {
    copyImage(x, frame + frameOffset, height, width, pixelBytes, frameStep, frameRowStep);
    x += <usize>(height * width) * pixelBytes;
    for (let row = 0; row < outHeight; row++) {
      let window = frame + <usize>row * stepRow;
      for (let column = 0; column < outWidth; column++) {
        for (let channel = 0; channel < channels; channel += 4) {
          const offset = (<usize>channel) << 2;
          let sum = f32x4.splat(0);
          let weight = filter + offset;
          for (let tap = 0; tap < tapCount; tap++) {
            const at = window + offset + <usize>load<i32>(taps + ((<usize>tap) << 2));
            sum = f32x4.add(sum, f32x4.mul(v128.load(at), v128.load(weight)));
            weight += filterBytes;
          }
          if (channel + 4 <= channels) {
            v128.store(y + offset, sum);
          } else {
            v128.store(spare, sum);
            memory.copy(y + offset, spare, (<usize>(channels - channel)) << 2);
          }
        }
        window += stepX;
        y += pixelBytes;
      }
    }
  }
}

/**
 * @param gradientFrame one image of gradients, its channels filled up to 4
 * @param sums [taps, channels filled up to 4]
 */
export function depthwiseFilterGradient(
  x: usize,
  height: i32,
  width: i32,
  channels: i32,
  frame: usize,
  frameBytes: usize,
  frameOffset: usize,
  frameStep: usize,
  frameRowStep: usize,
  count: i32,
  dy: usize,
  gradientFrame: usize,
  taps: usize,
  tapCount: i32,
  outHeight: i32,
  outWidth: i32,
  stepX: usize,
  stepRow: usize,
  sums: usize,
): void {
  const pixelBytes = (<usize>channels) << 2;
  const lanes = (channels + 3) & ~3;
  const sumBytes = (<usize>lanes) << 2;
  const pixels = outHeight * outWidth;
  memory.fill(frame, 0, frameBytes);
  memory.fill(gradientFrame, 0, <usize>pixels * sumBytes);
  memory.fill(sums, 0, <usize>tapCount * sumBytes);
  for (let image = 0; image < count; image++) {
    copyImage(x, frame + frameOffset, height, width, pixelBytes, frameStep, frameRowStep);
    copyImage(dy, gradientFrame, 1, pixels, pixelBytes, sumBytes, 0);
    x += <usize>(height * width) * pixelBytes;
    dy += <usize>pixels * pixelBytes;
    for (let tap = 0; tap < tapCount; tap += 3) {
      const t0 = <usize>load<i32>(taps + ((<usize>tap) << 2));
      const t1 = tap + 1 < tapCount ? <usize>load<i32>(taps + ((<usize>tap) << 2), 4) : t0;
      const t2 = tap + 2 < tapCount ? <usize>load<i32>(taps + ((<usize>tap) << 2), 8) : t0;
      for (let offset: usize = 0; offset < sumBytes; offset += 16) {
        let a = f32x4.splat(0);
        let b = f32x4.splat(0);
        let c = f32x4.splat(0);
        let gradient = gradientFrame + offset;
        for (let row = 0; row < outHeight; row++) {
          let window = frame + offset + <usize>row * stepRow;
          for (let column = 0; column < outWidth; column++) {
            const g = v128.load(gradient);
            a = f32x4.add(a, f32x4.mul(v128.load(window + t0), g));
            b = f32x4.add(b, f32x4.mul(v128.load(window + t1), g));
            c = f32x4.add(c, f32x4.mul(v128.load(window + t2), g));
            window += stepX;
            gradient += sumBytes;
          }
        }
        const target = sums + <usize>tap * sumBytes + offset;
        v128.store(target, f32x4.add(v128.load(target), a));
        if (tap + 1 < tapCount) {
          v128.store(target + sumBytes, f32x4.add(v128.load(target + sumBytes), b));
        }
        if (tap + 2 < tapCount) {
          v128.store(target + 2 * sumBytes, f32x4.add(v128.load(target + 2 * sumBytes), c));
        }
      }
    }
  }
}
