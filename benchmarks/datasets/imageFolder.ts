import exp from "@stdlib/math-base-special-exp";
import ln from "@stdlib/math-base-special-ln";
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { ImageSet } from "../../pipelines/train/index.js";
import type { RandomStream } from "../../pipelines/engine/index.js";
import { middle, readImage, resized, type Image, type Region } from "./images.js";

/** Evaluation resizes the shorter side to this part of the crop: 256 for 224. */
const RESIZE = 256 / 224;
/** Area and aspect ratio of random crops, and how often one is drawn (as torchvision). */
const AREA = [0.08, 1] as const;
const ASPECT = [3 / 4, 4 / 3] as const;
const TRIES = 10;

/** Image files in a folder for each class, found but not read. */
export interface LabelledFiles {
  readonly files: readonly string[];
  readonly labels: readonly number[];
  /** Names of the folders. */
  readonly classes: readonly string[];
  /** Of the files' names. */
  readonly checksum: string;
}

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
  const { files, labels, classes, checksum } = await findLabelledFiles(directory);
  const set: ImageSet = {
    count: files.length,
    images: new Uint8Array(0),
    labels: Uint16Array.from(labels),
    decode: (index, random) => cropped(readImage(files[index] ?? ""), size, random),
  };
  return { set, classes, checksum };
}

/** Folders that programs and systems leave behind, such as .ipynb_checkpoints, __MACOSX and @eaDir. */
const LEFT_BEHIND = /^([.@]|__|lost\+found$|\$)/;

/**
 * Names of the folders of classes, in order.
 *
 * @throws Error naming the directory when it is missing
 */
export async function classFolders(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: unknown) => {
    throw new Error(`missing data directory ${directory}: it must hold a folder for each class`, {
      cause: error,
    });
  });
  return entries
    .filter((entry) => entry.isDirectory() && !LEFT_BEHIND.test(entry.name))
    .map(({ name }) => name)
    .sort();
}

/**
 * @param order all classes, where other folders have some that this one lacks
 * @throws Error naming the directory when it is missing or holds no class, or one that is not expected
 */
export async function findLabelledFiles(
  directory: string,
  order?: readonly string[],
): Promise<LabelledFiles> {
  const folders = await classFolders(directory);
  if (folders.length === 0) throw new Error(`${directory} holds no folder of a class`);
  const classes = order ?? folders;
  const unknown = folders.find((name) => !classes.includes(name));
  if (unknown !== undefined)
    throw new Error(`${directory} has the folder "${unknown}", which "classes" does not list`);
  const files: string[] = [];
  const labels: number[] = [];
  const hash = createHash("sha256");
  for (const name of folders) {
    const label = classes.indexOf(name);
    for (const image of await imageFiles(join(directory, name))) {
      files.push(join(directory, name, image));
      labels.push(label);
      hash.update(`${name}/${image}\n`);
    }
  }
  return { files, labels, classes, checksum: hash.digest("hex") };
}

/** Names of the image files in a directory, in order. */
export async function imageFiles(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((file) => /\.(jpe?g|png)$/i.test(file)).sort();
}

/** The middle of an image, or a random part of it, at the wanted size. */
function cropped(image: Image, size: number, random?: RandomStream): Uint8Array {
  const region = (random && randomRegion(image, random)) ?? middle(image, random ? 1 : RESIZE);
  return resized(image, region, [size, size]);
}

function randomRegion(image: Image, random: RandomStream): Region | undefined {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const area = image.width * image.height * (AREA[0] + (AREA[1] - AREA[0]) * random.uniform());
    const [low, high] = [ln(ASPECT[0]), ln(ASPECT[1])];
    const aspect = exp(low + (high - low) * random.uniform());
    const width = Math.round(Math.sqrt(area * aspect));
    const height = Math.round(Math.sqrt(area / aspect));
    if (width < 1 || height < 1 || width > image.width || height > image.height) continue;
    const left = random.integer(image.width - width + 1);
    const top = random.integer(image.height - height + 1);
    return { left, top, width, height };
  }
  return undefined;
}
