import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ImageSet } from "../../../pipelines/train/index.js";
import { readNpy, readNpz, type NpyArray } from "./npy.js";
import type { Preprocessing } from "./preprocessing.js";

/** Images and labels before they are divided into training and test. */
export interface Part {
  readonly set: ImageSet;
  /** [height, width, channels] */
  readonly shape: readonly number[];
}

export interface Parts {
  readonly train?: Part;
  readonly test?: Part;
  /** Where files do not say what is for training. */
  readonly all?: Part;
  /** Of folders, in the order of the labels. */
  readonly classNames?: readonly string[];
  readonly checksum: string;
}

const SPLITS = {
  train: ["train", "calibration"],
  test: ["test", "val", "validation"],
} as const;
const IMAGES = ["images", "x", "data"];
const LABELS = ["labels", "y"];
/** Some more than the largest set of pictures has; -1 in 16 bits is none. */
const MAX_CLASSES = 2 ** 15;

/**
 * Arrays of an .npz file, or of the .npy files in a directory: `images` and `labels` (or x and y),
 * or the same of each part: train_images or x_train, test_labels or y_test, ...
 *
 * @throws Error listing what there is where images or labels are missing
 */
export async function readArrays(path: string, preprocessing: Preprocessing): Promise<Parts> {
  const hash = createHash("sha256");
  const arrays = new Map<string, NpyArray>();
  if (path.endsWith(".npz")) {
    const bytes = await readFile(path);
    hash.update(bytes);
    for (const [name, array] of readNpz(bytes, path)) arrays.set(name, array);
  } else {
    for (const file of (await readdir(path)).filter((name) => name.endsWith(".npy")).sort()) {
      const bytes = await readFile(join(path, file));
      hash.update(`${file}\n`).update(bytes);
      arrays.set(file.replace(/\.npy$/, ""), readNpy(bytes, join(path, file)));
    }
  }
  const find = (kinds: readonly string[], splits: readonly string[]) =>
    [...arrays].find(([name]) => {
      const words = name.toLowerCase().split(/[_\-.]/);
      const isKind = words.some((word) => kinds.includes(word));
      const hasSplit = words.some((word) => splits.includes(word));
      const isWhole = splits.length === 0 && words.length === 1;
      return isKind && (hasSplit || isWhole);
    })?.[1];
  const part = (splits: readonly string[]): Part | undefined => {
    const images = find(IMAGES, splits);
    return images && toPart(images, find(LABELS, splits), { path, preprocessing });
  };
  const [train, test, all] = [part(SPLITS.train), part(SPLITS.test), part([])];
  if (test === undefined && all === undefined)
    throw new Error(
      `${path} holds no array "images" or "test_images", but ${[...arrays.keys()].join(", ") || "nothing"}`,
    );
  return {
    ...(train && { train }),
    ...(test && { test }),
    ...(all && { all }),
    checksum: hash.digest("hex"),
  };
}

function toPart(
  images: NpyArray,
  labels: NpyArray | undefined,
  { path, preprocessing }: { readonly path: string; readonly preprocessing: Preprocessing },
): Part {
  const [count = 0, ...rest] = images.shape;
  if (rest.length < 1 || rest.length > 3)
    throw new Error(
      `${path}: images must be [count, height, width] with or without channels, or [count, features], not [${images.shape.join()}]`,
    );
  if (images.data.length === 0)
    throw new Error(`${path}: there are no pixels in [${images.shape.join()}]`);
  const strange =
    images.data instanceof Float32Array
      ? images.data.findIndex((value) => !Number.isFinite(value))
      : -1;
  if (strange >= 0)
    throw new Error(
      `${path}: the images have the value ${String(images.data[strange])} in image ${String(Math.floor((strange * count) / images.data.length))}`,
    );
  // Features are one row of pixels.
  const areFeatures = rest.length === 1;
  const axes = areFeatures ? [1, ...rest, 1] : rest.length === 2 ? [...rest, 1] : rest;
  const [first = 1, , last = 1] = axes;
  const isChannels = (size: number) => size === 1 || size === 3;
  const layout = areFeatures
    ? "NHWC"
    : (preprocessing.layout ?? (isChannels(first) && !isChannels(last) ? "NCHW" : "NHWC"));
  const [height = 1, width = 1, channels = 1] =
    layout === "NHWC" ? axes : [axes[1] ?? 1, axes[2] ?? 1, axes[0] ?? 1];
  const pixels = areFeatures ? Float32Array.from(images.data) : asBytes(images);
  const ordered =
    layout === "NHWC" || channels === 1 ? pixels : channelsLast(pixels, count, channels);
  const shape = [height, width, channels];
  return {
    shape,
    set: {
      count,
      images: ordered instanceof Uint8Array ? ordered : new Uint8Array(0),
      ...(ordered instanceof Float32Array && { values: ordered }),
      labels: labels === undefined ? new Uint16Array(0) : toLabels(labels, count, path),
    },
  };
}

/** Whole numbers from 0 to 255 are bytes in whatever type they were saved. */
function asBytes({ kind, data }: NpyArray): Uint8Array | Float32Array {
  const fits = kind === "integers" && data.every((value) => value >= 0 && value <= 255);
  return fits ? Uint8Array.from(data) : data;
}

function channelsLast<T extends Uint8Array | Float32Array>(
  data: T,
  count: number,
  channels: number,
): T {
  const pixels = data.length / count / channels;
  const moved = data.slice() as T;
  for (let i = 0; i < data.length; i++) {
    const pixel = i % pixels;
    const channel = Math.floor(i / pixels) % channels;
    const image = Math.floor(i / pixels / channels);
    moved[(image * pixels + pixel) * channels + channel] = data[i] ?? 0;
  }
  return moved;
}

function toLabels({ shape, data }: NpyArray, count: number, path: string): Uint16Array {
  const flat = shape.filter((size, axis) => axis === 0 || size !== 1);
  if (flat.length !== 1 || flat[0] !== count)
    throw new Error(
      `${path}: ${String(count)} images need as many labels, there are [${shape.join()}]`,
    );
  const wrong = data.find((label) => !Number.isInteger(label) || label < 0 || label >= MAX_CLASSES);
  if (wrong !== undefined)
    throw new Error(
      `${path}: ${String(wrong)} is no label; labels are classes from 0 to ${String(MAX_CLASSES - 1)}`,
    );
  return Uint16Array.from(data);
}
