import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { decode } from "jpeg-js";
import type { ImageSet } from "../../pipelines/data.js";
import type { RandomStream } from "../../pipelines/random.js";

const CHANNELS = 3;
/** Evaluation resizes the shorter side to this part of the crop: 256 for 224. */
const RESIZE = 256 / 224;
/** Area and aspect ratio of random crops, and how often one is drawn (as torchvision). */
const AREA = [0.08, 1] as const;
const ASPECT = [3 / 4, 4 / 3] as const;
const TRIES = 10;

/**
 * JPEG files in a folder for each class. Files are read and decoded when they are needed, since
 * ImageNet does not fit the memory.
 *
 * @param size side of the square images
 * @throws Error naming the directory when it is missing or holds no class
 */
export async function readImageFolder(
  directory: string,
  size: number,
): Promise<{ set: ImageSet; classes: readonly string[]; checksum: string }> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: unknown) => {
    throw new Error(`missing data directory ${directory}: it must hold a folder for each class`, {
      cause: error,
    });
  });
  const classes = entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
  if (classes.length === 0) throw new Error(`${directory} holds no folder of a class`);
  const files: string[] = [];
  const labels: number[] = [];
  const hash = createHash("sha256");
  for (const [label, name] of classes.entries()) {
    const images = (await readdir(join(directory, name))).filter((f) => /\.jpe?g$/i.test(f)).sort();
    for (const image of images) {
      files.push(join(directory, name, image));
      labels.push(label);
      hash.update(`${name}/${image}\n`);
    }
  }
  const set: ImageSet = {
    count: files.length,
    images: new Uint8Array(0),
    labels: Uint16Array.from(labels),
    decode: (index, random) => cropped(readJpeg(files[index] ?? ""), size, random),
  };
  return { set, classes, checksum: hash.digest("hex") };
}

interface Image {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue, alpha. */
  readonly data: Uint8Array;
}

function readJpeg(path: string): Image {
  try {
    return decode(readFileSync(path), { useTArray: true, maxMemoryUsageInMB: 1024 });
  } catch (error) {
    throw new Error(`${path} is not a readable JPEG file: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

interface Region {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The middle of an image, or a random part of it, at the wanted size. */
function cropped(image: Image, size: number, random?: RandomStream): Uint8Array {
  const region = (random && randomRegion(image, random)) ?? middle(image, random ? 1 : RESIZE);
  return resized(image, region, size);
}

/** The square in the middle, of the shorter side over `factor`. */
function middle({ width, height }: Image, factor: number): Region {
  const side = Math.min(width, height) / factor;
  return { left: (width - side) / 2, top: (height - side) / 2, width: side, height: side };
}

function randomRegion(image: Image, random: RandomStream): Region | undefined {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const area = image.width * image.height * (AREA[0] + (AREA[1] - AREA[0]) * random.uniform());
    const [low, high] = [Math.log(ASPECT[0]), Math.log(ASPECT[1])];
    const aspect = Math.exp(low + (high - low) * random.uniform());
    const width = Math.round(Math.sqrt(area * aspect));
    const height = Math.round(Math.sqrt(area / aspect));
    if (width < 1 || height < 1 || width > image.width || height > image.height) continue;
    const left = random.integer(image.width - width + 1);
    const top = random.integer(image.height - height + 1);
    return { left, top, width, height };
  }
  return undefined;
}

/**
 * A region at another size by linear interpolation; where it shrinks, over as many pixels as one
 * new pixel covers (a triangle filter, as Pillow's).
 */
export function resized(image: Image, region: Region, size: number): Uint8Array {
  const columns = weightsFor(region.left, region.width, image.width, size);
  const rows = weightsFor(region.top, region.height, image.height, size);
  const across = new Float32Array(image.height * size * CHANNELS);
  const [firstRow, lastRow] = [rows[0]?.from ?? 0, rows.at(-1)];
  for (let y = firstRow; y < (lastRow?.from ?? 0) + (lastRow?.weights.length ?? 0); y++) {
    columns.forEach(({ from, weights }, x) => {
      for (let channel = 0; channel < CHANNELS; channel++) {
        let sum = 0;
        weights.forEach((weight, i) => {
          sum += weight * (image.data[(y * image.width + from + i) * 4 + channel] ?? 0);
        });
        across[(y * size + x) * CHANNELS + channel] = sum;
      }
    });
  }
  const result = new Uint8Array(size * size * CHANNELS);
  rows.forEach(({ from, weights }, y) => {
    for (let i = 0; i < size * CHANNELS; i++) {
      let sum = 0;
      weights.forEach((weight, j) => {
        sum += weight * (across[(from + j) * size * CHANNELS + i] ?? 0);
      });
      result[y * size * CHANNELS + i] = Math.min(255, Math.max(0, Math.round(sum)));
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
