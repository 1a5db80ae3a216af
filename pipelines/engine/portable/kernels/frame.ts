/**
 * Copies an image into a frame of zeros, which are there already.
 *
 * @param frame where the first pixel goes
 * @param pixelBytes of the image
 * @param framePixelBytes from one pixel to the next in the frame: more where channels or pixels are
 *   spread
 */
export function copyImage(
  image: usize,
  frame: usize,
  height: i32,
  width: i32,
  pixelBytes: usize,
  framePixelBytes: usize,
  frameRowBytes: usize,
): void {
  for (let row = 0; row < height; row++) {
    if (pixelBytes == framePixelBytes) {
      memory.copy(frame, image, <usize>width * pixelBytes);
      image += <usize>width * pixelBytes;
    } else {
      let to = frame;
      for (let column = 0; column < width; column++) {
        memory.copy(to, image, pixelBytes);
        image += pixelBytes;
        to += framePixelBytes;
      }
    }
    frame += frameRowBytes;
  }
}
