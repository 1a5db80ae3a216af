import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ImageSet } from "../../../pipelines/train/index.js";
import {
  classFolders,
  findLabelledFiles,
  type Image,
  imageFiles,
  readImage,
} from "../../datasets/index.js";
import type { Part, Parts } from "./arrays.js";
import { decodingThreads } from "./decodingThreads.js";
import { type Picture, prepared } from "./prepared.js";
import { finalSize, type Preprocessing } from "./preprocessing.js";

/** Sets up to this many bytes are decoded once; larger ones whenever an image is needed. */
const KEPT_BYTES = 512 * 1024 ** 2;
/** Fewer pictures are decoded sooner than threads have started. */
const FEWEST_FOR_THREADS = 32;
/** Pictures that are asked for ahead of the one that is taken. */
const AHEAD = 32;

const TRAIN = ["train", "calibration"];
const TEST = ["test", "val", "validation"];

/**
 * JPEG and PNG files: `train` (or `calibration`) and `test` (or `val`), each with a folder for
 * every class; or only such folders. Calibration images may lie there without folders.
 *
 * @throws Error naming the directory or file that is not as it must be
 */
export async function readImageFiles(path: string, preprocessing: Preprocessing): Promise<Parts> {
  const folders = await classFolders(path);
  const named = (names: readonly string[]) => names.find((name) => folders.includes(name));
  const [train, test] = [named(TRAIN), named(TEST)];
  const hash = createHash("sha256");
  if (test === undefined) {
    if (train !== undefined)
      throw new Error(`${path} has "${train}", but none of ${TEST.join(", ")}`);
    const classes = preprocessing.classes ?? folders;
    const all = await readPart(path, { preprocessing, classes }, hash);
    return { all, classNames: classes, checksum: hash.digest("hex") };
  }
  const parts = [test, ...(train === undefined ? [] : [train])].map((name) => join(path, name));
  // One list for all parts: a class that one of them lacks must not move the others.
  const classes =
    preprocessing.classes ??
    [...new Set((await Promise.all(parts.map(classFolders))).flat())].sort();
  const read = { preprocessing, classes };
  const testPart = await readPart(join(path, test), read, hash);
  const trainPart = train && (await readPart(join(path, train), read, hash));
  return {
    test: testPart,
    ...(trainPart && { train: trainPart }),
    classNames: classes,
    checksum: hash.digest("hex"),
  };
}

interface Reading {
  readonly preprocessing: Preprocessing;
  /** In the order of the labels. */
  readonly classes: readonly string[];
}

async function readPart(
  directory: string,
  { preprocessing, classes }: Reading,
  hash: ReturnType<typeof createHash>,
): Promise<Part> {
  const flat = await imageFiles(directory);
  const [stray] = flat;
  const [folder] = await classFolders(directory);
  if (stray !== undefined && folder !== undefined)
    throw new Error(
      `${directory} has the picture ${stray} beside folders of classes such as "${folder}": move it into one, or away`,
    );
  const { files, labels } =
    flat.length > 0
      ? { files: flat.map((name) => join(directory, name)), labels: [] }
      : await findLabelledFiles(directory, classes);
  const [first] = files;
  if (first === undefined) throw new Error(`${directory} holds no JPEG or PNG file`);
  const size = finalSize(preprocessing) ?? sizeOf(readImage(first), preprocessing);
  const channels = preprocessing.channels === "gray" ? 1 : 3;
  const picture = (index: number): Picture => ({
    ...{ file: files[index] ?? "", size, preprocessing },
  });
  const bytes = files.length * size[0] * size[1] * channels;
  const common = { count: files.length, labels: Uint16Array.from(labels) };
  for (const file of files) hash.update(`${file.slice(directory.length)}\n`);
  const shape = [...size, channels];
  if (bytes > KEPT_BYTES) {
    const set: ImageSet = {
      ...{ ...common, images: new Uint8Array(0) },
      decode: (index) => decodingThreads.take(picture(index)),
      ahead(indices) {
        for (const index of indices) decodingThreads.ask(picture(index));
      },
    };
    return { shape, set };
  }
  const images = new Uint8Array(bytes);
  const inThreads = files.length >= FEWEST_FOR_THREADS;
  const ask = (index: number): void => {
    if (inThreads && index < files.length) decodingThreads.ask(picture(index));
  };
  for (let i = 0; i < AHEAD; i++) ask(i);
  files.forEach((file, i) => {
    ask(i + AHEAD);
    const pixels = inThreads ? decodingThreads.take(picture(i)) : prepared(picture(i));
    images.set(pixels, i * size[0] * size[1] * channels);
    hash.update(readFileSync(file));
  });
  return { shape, set: { ...common, images } };
}

const sizeOf = ({ width, height }: Image, { resize }: Preprocessing): [number, number] => {
  if (typeof resize !== "number") return [height, width];
  const scale = resize / Math.min(width, height);
  return [Math.round(height * scale), Math.round(width * scale)];
};
