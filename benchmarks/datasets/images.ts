import { readFileSync, statSync } from "node:fs";
import { decode } from "jpeg-js";
import { PNG } from "pngjs";

const CHANNELS = 3;
/** First byte of every PNG file; those of JPEG files begin with 0xff. */
const PNG_START = 0x89;

/** Width, then height, in the header that begins every PNG file. */
const PNG_SIZE = { width: 16, height: 20, end: 24 } as const;
const MAX_PIXELS = 2 ** 27;
const MAX_BYTES = 2 ** 28;

/** A decoded picture. */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue, alpha. */
  readonly data: Uint8Array;
}

/** Reads a JPEG or PNG file. @throws Error naming the file when it is damaged, too large or none */
export function readImage(path: string): Image {
  const bytes = fileBytes(path);
  try {
    if (bytes[0] === PNG_START) {
      checkPngSize(bytes);
      const { width, height, data } = PNG.sync.read(bytes);
      return { width, height, data };
    }
    return decode(bytes, {
      ...{ useTArray: true, maxMemoryUsageInMB: 1024 },
      maxResolutionInMP: MAX_PIXELS / 1e6,
    });
  } catch (error) {
    throw new Error(`${path} is not a readable JPEG or PNG file: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Pipes and devices, also behind links, may never end. */
function fileBytes(path: string): Buffer {
  const entry = statSync(path);
  if (!entry.isFile())
    throw new Error(
      `${path} is a ${entry.isDirectory() ? "folder" : "device or pipe"}, not a file`,
    );
  if (entry.size > MAX_BYTES)
    throw new Error(
      `${path} has ${String(entry.size)} bytes; pictures may have ${String(MAX_BYTES)}`,
    );
  return readFileSync(path);
}

/** The decoder asks for memory as the header says, and where there is none the process ends. */
function checkPngSize(bytes: Buffer): void {
  if (bytes.length < PNG_SIZE.end) throw new Error("it is truncated");
  const [width, height] = [bytes.readUInt32BE(PNG_SIZE.width), bytes.readUInt32BE(PNG_SIZE.height)];
  if (width * height > MAX_PIXELS || width === 0 || height === 0)
    throw new Error(
      `it says that it has ${String(width)} x ${String(height)} pixels; 1 to ${String(MAX_PIXELS)} are accepted`,
    );
}

export interface Region {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The square in the middle, of the shorter side over `factor`. */
export function middle({ width, height }: Image, factor: number): Region {
  const side = Math.min(width, height) / factor;
  return { left: (width - side) / 2, top: (height - side) / 2, width: side, height: side };
}

/**
 * A region at another size by linear interpolation; where it shrinks, over as many pixels as one
 * new pixel covers (a triangle filter, as Pillow's).
 */
export function resized(
  image: Image,
  region: Region,
  [height, width]: readonly [number, number],
): Uint8Array {
  const columns = weightsFor(region.left, region.width, image.width, width);
  const rows = weightsFor(region.top, region.height, image.height, height);
  const across = new Float32Array(image.height * width * CHANNELS);
  const [firstRow, lastRow] = [rows[0]?.from ?? 0, rows.at(-1)];
  for (let y = firstRow; y < (lastRow?.from ?? 0) + (lastRow?.weights.length ?? 0); y++) {
    columns.forEach(({ from, weights }, x) => {
      for (let channel = 0; channel < CHANNELS; channel++) {
        let sum = 0;
        weights.forEach((weight, i) => {
          sum += weight * (image.data[(y * image.width + from + i) * 4 + channel] ?? 0);
        });
        across[(y * width + x) * CHANNELS + channel] = sum;
      }
    });
  }
  const result = new Uint8Array(height * width * CHANNELS);
  rows.forEach(({ from, weights }, y) => {
    for (let i = 0; i < width * CHANNELS; i++) {
      let sum = 0;
      weights.forEach((weight, j) => {
        sum += weight * (across[(from + j) * width * CHANNELS + i] ?? 0);
      });
      result[y * width * CHANNELS + i] = Math.min(255, Math.max(0, Math.round(sum)));
    }
  });
  return result;
}

/** Which old pixels make each new one, and how much of each. */
function weightsFor(start: number, extent: number, limit: number, size: number) {
  const scale = extent / size;
  const reach = Math.max(scale, 1);
  return Array.from({ length: size }, (_, i) => {
    const center = start + (i + 0.5) * scale;
    const from = Math.max(0, Math.floor(center - reach + 0.5));
    const to = Math.min(limit, Math.floor(center + reach + 0.5));
    const raw = Array.from({ length: Math.max(1, to - from) }, (__, j) =>
      Math.max(0, 1 - Math.abs(from + j + 0.5 - center) / reach),
    );
    const total = raw.reduce((a, b) => a + b, 0) || 1;
    return { from, weights: raw.map((weight) => weight / total) };
  });
}
