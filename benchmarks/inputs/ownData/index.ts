import { existsSync, readdirSync, statSync } from "node:fs";
import { basename } from "node:path";
import { z } from "zod";
import type { Dataset, ImageSet } from "../../../pipelines/train/index.js";
import { canonicalHash } from "../../../results/canonicalHash.js";
import { datasets } from "../../datasets/index.js";
import { readArrays, type Part, type Parts } from "./arrays.js";
import { readImageFiles } from "./imageFiles.js";
import { preprocessingSchema, type Preprocessing } from "./preprocessing.js";

/** A user's own images. */
export const ownDataSchema = z.strictObject({
  path: z
    .string()
    .describe(
      "a folder of images or .npy files, an .npz file, a folder with CIFAR or MNIST files, or a data set's name",
    ),
  preprocessing: preprocessingSchema.optional(),
});
export type OwnData = z.infer<typeof ownDataSchema>;

/** Where files do not say what is for training, every so many-th image is for testing. */
const TEST_SHARE = 5;

/**
 * Loads images of any accepted form.
 *
 * @throws Error naming the path and what it lacks
 */
export async function loadOwnData({ path, preprocessing = {} }: OwnData): Promise<Dataset> {
  const known = await knownFormat(path);
  const parts: Parts & { readonly classes?: number } =
    known ?? (await readParts(path, preprocessing));
  const { classNames } = parts;
  const { train, test } = divided(parts);
  if (train.shape.join() !== test.shape.join())
    throw new Error(
      `${path}: training images are [${train.shape.join()}], test images [${test.shape.join()}]`,
    );
  if (test.set.labels.length === 0)
    throw new Error(`${path}: the test images have no labels, which accuracy needs`);
  const channels = test.shape[2] ?? 1;
  const perChannel = (name: "mean" | "deviation", otherwise: number): readonly number[] => {
    const given = preprocessing[name] ?? known?.defaults[name];
    if (given === undefined) return Array.from({ length: channels }, () => otherwise);
    if (given.length !== channels && given.length !== 1)
      throw new Error(
        `${path}: ${name} has ${String(given.length)} values for ${String(channels)} channels`,
      );
    return Array.from({ length: channels }, (_, i) => given[given.length === 1 ? 0 : i] ?? 0);
  };
  if (
    test.set.values !== undefined &&
    (preprocessing.mean ?? preprocessing.deviation) !== undefined
  )
    throw new Error(
      `${path}: mean and deviation are for images of bytes; arrays of floats are taken as they are`,
    );
  return {
    name: basename(path).replace(/[^\w.-]+/g, "-") || "images",
    shape: test.shape,
    ...(classNames && { classNames }),
    classes:
      parts.classes ??
      classNames?.length ??
      1 + Math.max(maximum(test.set.labels), maximum(train.set.labels)),
    mean: perChannel("mean", 0),
    deviation: perChannel("deviation", 1),
    mayFlip: preprocessing.flip ?? known?.defaults.mayFlip ?? false,
    train: train.set,
    test: test.set,
    checksum: canonicalHash({ files: parts.checksum, preprocessing }),
  };
}

const maximum = (labels: ArrayLike<number>): number =>
  Array.from(labels).reduce((a, b) => Math.max(a, b), 0);

/** Data sets that this program knows, by name or by the files that lie in a folder. */
async function knownFormat(path: string) {
  const isFolder = existsSync(path) && statSync(path).isDirectory();
  const inside = isFolder ? readdirSync(path).map((file) => file.replace(/\.gz$/, "")) : [];
  const source =
    datasets.find(({ name, embedded }) => embedded && name === path && !existsSync(path)) ??
    (await ownerOf(path, inside));
  if (source === undefined) return someOfKnownFormat(path, inside);
  const defaults = await source.load(path);
  const { shape, train, test, classes, checksum } = defaults;
  return { train: { shape, set: train }, test: { shape, set: test }, classes, checksum, defaults };
}

/** The data set whose files lie there; several call theirs the same, as Fashion-MNIST does MNIST's. */
async function ownerOf(path: string, inside: readonly string[]) {
  for (const source of datasets) {
    if (source.embedded || !source.files.every((file) => inside.includes(file))) continue;
    if ((await source.owns?.(path)) ?? true) return source;
  }
  return undefined;
}

/** Single files of a data set, such as one batch of CIFAR. */
async function someOfKnownFormat(path: string, inside: readonly string[]) {
  for (const source of datasets) {
    const there = source.files.filter((file) => inside.includes(file));
    if (source.loadSome === undefined || there.length === 0) continue;
    const { train, test, ...defaults } = await source.loadSome(path, there);
    const { shape, classes, checksum } = defaults;
    const part = (set: ImageSet) => ({ shape, set });
    if (test === undefined) return { all: part(train ?? NONE), classes, checksum, defaults };
    return { ...(train && { train: part(train) }), test: part(test), classes, checksum, defaults };
  }
  return undefined;
}

const NONE: ImageSet = { count: 0, images: new Uint8Array(0), labels: new Uint8Array(0) };

async function readParts(path: string, preprocessing: Preprocessing): Promise<Parts> {
  if (!existsSync(path)) {
    const embedded = datasets.filter((source) => source.embedded).map(({ name }) => name);
    throw new Error(`there are no images at ${path}; it may also be ${embedded.join(" or ")}`);
  }
  if (!statSync(path).isDirectory()) {
    if (path.endsWith(".npz")) return readArrays(path, preprocessing);
    throw new Error(`${path} must be a folder or an .npz file`);
  }
  const arrays = readdirSync(path).some((file) => file.endsWith(".npy"));
  return arrays ? readArrays(path, preprocessing) : readImageFiles(path, preprocessing);
}

function divided({ train, test, all }: Parts): { readonly train: Part; readonly test: Part } {
  if (test !== undefined && train !== undefined) return { train, test };
  const whole = test ?? all;
  if (whole === undefined) throw new Error("there are no images");
  if (whole.set.count < TEST_SHARE)
    throw new Error(
      `${String(whole.set.count)} images are too few: every ${String(TEST_SHARE)}th is for testing; put images for both into train and test`,
    );
  const isTest = (index: number) => index % TEST_SHARE === TEST_SHARE - 1;
  return {
    train: { ...whole, set: chosen(whole.set, (index) => !isTest(index)) },
    test: { ...whole, set: chosen(whole.set, isTest) },
  };
}

/** The images of a set whose index is wanted. */
function chosen(set: ImageSet, wanted: (index: number) => boolean): ImageSet {
  const indices = Array.from({ length: set.count }, (_, i) => i).filter(wanted);
  const { decode, ahead } = set;
  return {
    count: indices.length,
    images: gathered(set.images, set.count, indices),
    labels: gathered(set.labels, set.count, indices),
    ...(set.values && { values: gathered(set.values, set.count, indices) }),
    ...(decode && { decode: (index, random) => decode(indices[index] ?? 0, random) }),
    ...(ahead && {
      ahead: (soon) => {
        ahead(Uint32Array.from(soon, (index) => indices[index] ?? 0));
      },
    }),
  };
}

function gathered<T extends Uint8Array | Uint16Array | Float32Array>(
  data: T,
  count: number,
  indices: readonly number[],
): T {
  const each = data.length / count;
  const result = data.slice(0, each * indices.length) as T;
  indices.forEach((index, slot) => {
    result.set(data.subarray(index * each, (index + 1) * each), slot * each);
  });
  return result;
}
