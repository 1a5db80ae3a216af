// Adder layers: distances in place of products. A module of its own, so that the other kernels, whose hash names
// the engine's version, stay as they are. It keeps no memory: both have the same.

function distance(x: v128, weight: v128, sum: v128): v128 {
  return f32x4.sub(sum, f32x4.abs(f32x4.sub(x, weight)));
}

/** The first of 8 values that there is room for. */
function storePart(y: usize, low: v128, high: v128, count: i32, spare: usize): void {
  v128.store(spare, low);
  v128.store(spare, high, 16);
  memory.copy(y, spare, (<usize>count) << 2);
}

/**
 * y = - sum |x - w| over windows, four pixels and 8 filters at a time: no difference is ever stored.
 *
 * @param x [images, rows, columns, channels], padded
 * @param filter [size, filters filled up to 8]
 * @param rowValues values of a window's row, which lie behind one another
 * @param windowRows rows of a window
 * @param stepX, stepRow bytes between neighbouring windows
 * @param spare memory of 8 values
 */
export function adderForward(
  x: usize,
  imageBytes: usize,
  rowBytes: usize,
  count: i32,
  filter: usize,
  rowValues: i32,
  windowRows: i32,
  outHeight: i32,
  outWidth: i32,
  stepX: usize,
  stepRow: usize,
  filters: i32,
  spare: usize,
  y: usize,
): void {
  const lanes = (filters + 7) & ~7;
  const filterBytes = (<usize>lanes) << 2;
  const pixelBytes = (<usize>filters) << 2;
  for (let image = 0; image < count; image++) {
    for (let row = 0; row < outHeight; row++) {
      const line = x + <usize>row * stepRow;
      for (let column = 0; column < outWidth; column += 4) {
        const left = outWidth - column;
        const w0 = line + <usize>column * stepX;
        const w1 = left > 1 ? w0 + stepX : w0;
        const w2 = left > 2 ? w1 + stepX : w0;
        const w3 = left > 3 ? w2 + stepX : w0;
        for (let first = 0; first < filters; first += 8) {
          let a0 = f32x4.splat(0);
          let a1 = f32x4.splat(0);
          let b0 = f32x4.splat(0);
          let b1 = f32x4.splat(0);
          let c0 = f32x4.splat(0);
          let c1 = f32x4.splat(0);
          let d0 = f32x4.splat(0);
          let d1 = f32x4.splat(0);
          let weight = filter + ((<usize>first) << 2);
          for (let windowRow = 0; windowRow < windowRows; windowRow++) {
            let at = <usize>windowRow * rowBytes;
            const end = at + ((<usize>rowValues) << 2);
            while (at < end) {
              const low = v128.load(weight);
              const high = v128.load(weight, 16);
              const p0 = v128.load32_splat(w0 + at);
              a0 = distance(p0, low, a0);
              a1 = distance(p0, high, a1);
              const p1 = v128.load32_splat(w1 + at);
              b0 = distance(p1, low, b0);
              b1 = distance(p1, high, b1);
              const p2 = v128.load32_splat(w2 + at);
              c0 = distance(p2, low, c0);
              c1 = distance(p2, high, c1);
              const p3 = v128.load32_splat(w3 + at);
              d0 = distance(p3, low, d0);
              d1 = distance(p3, high, d1);
              weight += filterBytes;
              at += 4;
            }
          }
          let target = y + <usize>column * pixelBytes + ((<usize>first) << 2);
          const part = filters - first < 8 ? filters - first : 8;
          storePart(target, a0, a1, part, spare);
          target += pixelBytes;
          if (left > 1) storePart(target, b0, b1, part, spare);
          target += pixelBytes;
          if (left > 2) storePart(target, c0, c1, part, spare);
          target += pixelBytes;
          if (left > 3) storePart(target, d0, d1, part, spare);
        }
      }
      y += <usize>outWidth * pixelBytes;
    }
    x += imageBytes;
  }
}

function clipped(weight: v128, x: v128): v128 {
  const difference = f32x4.sub(weight, x);
  return f32x4.max(f32x4.splat(-1), f32x4.min(f32x4.splat(1), difference));
}

/**
 * The gradient of x: each of its values gets the gradients of the windows that hold it, times w - x between -1
 * and 1; 8 channels at a time.
 *
 * @param x [images, height, width, channels], padded; dx likewise
 * @param filter [rows, columns, filters, channels filled up to 8]
 * @param dy [images, outHeight, outWidth, filters]
 * @param spare memory of 8 values
 */
export function adderInputGradient(
  x: usize,
  height: i32,
  width: i32,
  channels: i32,
  count: i32,
  filter: usize,
  windowRows: i32,
  windowColumns: i32,
  outHeight: i32,
  outWidth: i32,
  strideRows: i32,
  strideColumns: i32,
  filters: i32,
  dy: usize,
  spare: usize,
  dx: usize,
): void {
  const lanes = (channels + 7) & ~7;
  const filterBytes = (<usize>lanes) << 2;
  const tapBytes = <usize>filters * filterBytes;
  const pixelBytes = (<usize>channels) << 2;
  const outBytes = (<usize>filters) << 2;
  for (let image = 0; image < count; image++) {
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        for (let first = 0; first < channels; first += 8) {
          const offset = (<usize>first) << 2;
          const part = channels - first < 8 ? channels - first : 8;
          if (part < 8) memory.copy(spare, x + offset, (<usize>part) << 2);
          const from = part < 8 ? spare : x + offset;
          const low = v128.load(from);
          const high = v128.load(from, 16);
          let sum0 = f32x4.splat(0);
          let sum1 = f32x4.splat(0);
          for (let windowRow = 0; windowRow < windowRows; windowRow++) {
            const down = row - windowRow;
            if (down < 0) break;
            const outRow = down / strideRows;
            if (outRow * strideRows != down || outRow >= outHeight) continue;
            for (let windowColumn = 0; windowColumn < windowColumns; windowColumn++) {
              const right = column - windowColumn;
              if (right < 0) break;
              const outColumn = right / strideColumns;
              if (outColumn * strideColumns != right || outColumn >= outWidth) continue;
              let gradient = dy + <usize>(outRow * outWidth + outColumn) * outBytes;
              let weight =
                filter + <usize>(windowRow * windowColumns + windowColumn) * tapBytes + offset;
              const end = gradient + outBytes;
              while (gradient < end) {
                const g = v128.load32_splat(gradient);
                sum0 = f32x4.add(sum0, f32x4.mul(g, clipped(v128.load(weight), low)));
                sum1 = f32x4.add(sum1, f32x4.mul(g, clipped(v128.load(weight, 16), high)));
                weight += filterBytes;
                gradient += 4;
              }
            }
          }
          storePart(dx + offset, sum0, sum1, part, spare);
        }
        x += pixelBytes;
        dx += pixelBytes;
      }
    }
    dy += <usize>(outHeight * outWidth) * outBytes;
  }
}
