import { readImage, resized } from "../../datasets/index.js";
import { regionOf, type Preprocessing } from "./preprocessing.js";

/** A picture, and what it becomes. */
export interface Picture {
  readonly file: string;
  /** [height, width] of the result. */
  readonly size: readonly [number, number];
  readonly preprocessing: Preprocessing;
}

/**
 * Reads a picture as the network is to see it: bytes, [height, width, channels].
 *
 * @throws Error naming the file when it is damaged, or of another size than others
 */
export function prepared({ file, size, preprocessing }: Picture): Uint8Array<ArrayBuffer> {
  const image = readImage(file);
  const { resize, crop, channels = "rgb" } = preprocessing;
  const kept = resize === undefined && crop === undefined;
  if (kept && (image.height !== size[0] || image.width !== size[1]))
    throw new Error(
      `${file} is ${String(image.height)} x ${String(image.width)}, others ${size.join(" x ")}: say how to resize and crop`,
    );
  const rgb = Uint8Array.from(resized(image, regionOf(image, preprocessing, size), size));
  if (channels === "rgb") return rgb;
  if (channels === "bgr") return rgb.map((_, i) => rgb[i - (i % 3) + 2 - (i % 3)] ?? 0);
  return Uint8Array.from({ length: rgb.length / 3 }, (_, i) =>
    // The weights of ITU-R BT.601, as image libraries turn colours gray.
    Math.round(
      0.299 * (rgb[3 * i] ?? 0) + 0.587 * (rgb[3 * i + 1] ?? 0) + 0.114 * (rgb[3 * i + 2] ?? 0),
    ),
  );
}
