/** How far work on images is. */
export interface ImageProgress {
  readonly step: number;
  readonly steps: number;
  readonly imagesPerSecond: number;
  readonly secondsLeft: number;
}

/** Tells how fast images go through and how long the rest will take, each time that some are done. */
export function imagePace(
  images: number,
  onImages: ((progress: ImageProgress) => void) | undefined,
): (done: number) => void {
  const start = performance.now();
  return (done) => {
    const imagesPerSecond = (1000 * done) / (performance.now() - start);
    const secondsLeft = (images - done) / imagesPerSecond;
    onImages?.({ step: done, steps: images, imagesPerSecond, secondsLeft });
  };
}
