// The data that matrices name: where it comes from, its checksum, its classes. A newcomer adds a data set
// or a reader of files; whatever is read may be damaged.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { CIFAR_SHAPE, readCifar } from "./cifar.js";
import { combinedChecksum, readDataFile, type DataFile } from "./dataFile.js";
import type { Dataset } from "../../pipelines/train/index.js";
import type { DatasetSource } from "./dataset.js";
import { readIdx } from "./idx.js";
import { readImageFolder } from "./imageFolder.js";
export type { DatasetSource } from "./dataset.js";
export { classFolders, findLabelledFiles, imageFiles, readImageFolder } from "./imageFolder.js";
export { type Image, type Region, readImage, resized } from "./images.js";

interface Description {
  readonly name: string;
  readonly title: string;
  readonly license: string;
  readonly classes: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
  readonly mayFlip: boolean;
}

/** IDX files, in this order: training images and labels, test images and labels. */
interface IdxFiles {
  readonly names: readonly [string, string, string, string];
  readonly checksums?: readonly [string, string, string, string];
  /** The directory of files that come with this package. */
  readonly embeddedIn?: string;
}

function idxDataset(description: Description, files: IdxFiles): DatasetSource {
  const { classes } = description;
  return {
    ...description,
    embedded: files.embeddedIn !== undefined,
    files: files.names,
    async owns(directory) {
      const { checksums } = files;
      if (checksums === undefined) return true;
      const found = await Promise.all(files.names.map((name) => readDataFile(directory, name)));
      return found.some(({ sha256 }, i) => sha256 === checksums[i]);
    },
    async load(directory): Promise<Dataset> {
      const from = files.embeddedIn ?? directory;
      const [trainImages, trainLabels, testImages, testLabels] = await Promise.all(
        files.names.map((name, i) => readDataFile(from, name, files.checksums?.[i])),
      );
      if (!trainImages || !trainLabels || !testImages || !testLabels) {
        throw new Error("an IDX data set has four files");
      }
      const train = readIdx(trainImages, trainLabels, classes);
      const test = readIdx(testImages, testLabels, classes);
      if (train.shape.join() !== test.shape.join()) {
        throw new Error(
          `${trainImages.path} has images of [${train.shape.join()}], but ${testImages.path} of [${test.shape.join()}]`,
        );
      }
      const checksum = combinedChecksum([trainImages, trainLabels, testImages, testLabels]);
      return { ...description, shape: train.shape, train: train.set, test: test.set, checksum };
    },
  };
}

function cifarDataset(
  description: Description,
  labelBytes: 1 | 2,
  files: { readonly train: readonly string[]; readonly test: readonly string[] },
): DatasetSource {
  const read = (directory: string, names: readonly string[]) =>
    Promise.all(names.map((name) => readDataFile(directory, name)));
  const images = (from: readonly DataFile[]) => readCifar(from, labelBytes, description.classes);
  return {
    ...description,
    embedded: false,
    files: [...files.train, ...files.test],
    async load(directory): Promise<Dataset> {
      const [train, test] = [await read(directory, files.train), await read(directory, files.test)];
      const checksum = combinedChecksum([...train, ...test]);
      const [trainSet, testSet] = [images(train), images(test)];
      return { ...description, shape: CIFAR_SHAPE, train: trainSet, test: testSet, checksum };
    },
    async loadSome(directory, names) {
      const chosen = (wanted: readonly string[]) => wanted.filter((name) => names.includes(name));
      const train = await read(directory, chosen(files.train));
      const test = await read(directory, chosen(files.test));
      return {
        ...description,
        shape: CIFAR_SHAPE,
        ...(train.length > 0 && { train: images(train) }),
        ...(test.length > 0 && { test: images(test) }),
        checksum: combinedChecksum([...train, ...test]),
      };
    },
  };
}

const IMAGENET_SIDE = 224;

/** ImageNet-1k as folders of JPEG files; only its shape is known without the files. */
const imagenet: DatasetSource = {
  name: "imagenet",
  title: "ImageNet-1k (folders of JPEG files)",
  license: "research only, not distributed here",
  embedded: false,
  files: ["train/<class>/*.JPEG", "val/<class>/*.JPEG"],
  async load(directory): Promise<Dataset> {
    const [train, test] = [
      await readImageFolder(join(directory, "train"), IMAGENET_SIDE),
      await readImageFolder(join(directory, "val"), IMAGENET_SIDE),
    ];
    if (train.classes.join() !== test.classes.join()) {
      throw new Error(`train and val of ${directory} have other classes`);
    }
    const checksum = combinedChecksum(
      [train, test].map(({ checksum: sha256 }) => ({ path: "", bytes: new Uint8Array(), sha256 })),
    );
    return {
      ...IMAGENET,
      classes: train.classes.length,
      train: train.set,
      test: test.set,
      checksum,
    };
  },
  declared: () => ({
    ...IMAGENET,
    classes: 1000,
    train: { count: 1281167, images: new Uint8Array(0), labels: new Uint16Array(0) },
    test: { count: 50000, images: new Uint8Array(0), labels: new Uint16Array(0) },
    checksum: "not loaded",
  }),
};
const IMAGENET = {
  name: "imagenet",
  shape: [IMAGENET_SIDE, IMAGENET_SIDE, 3],
  mean: [0.485, 0.456, 0.406],
  deviation: [0.229, 0.224, 0.225],
  mayFlip: true,
} as const;

const MNIST_FILES = [
  "train-images-idx3-ubyte",
  "train-labels-idx1-ubyte",
  "t10k-images-idx3-ubyte",
  "t10k-labels-idx1-ubyte",
] as const;

const TEST_CHECKSUMS = [
  "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
  "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
] as const;

const FASHION_MNIST = {
  license: "MIT",
  classes: 10,
  mean: [0.2861],
  deviation: [0.3533],
  mayFlip: true,
} as const;

const require = createRequire(import.meta.url);

export const datasets: readonly DatasetSource[] = [
  idxDataset(
    {
      ...FASHION_MNIST,
      name: "fashionMnist",
      title: "Fashion-MNIST (20,000 training images, official 10,000 test images)",
    },
    {
      names: [
        "train-20000-images-idx3-ubyte",
        "train-20000-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
      ],
      checksums: [
        "4cec7026deda4b3c9434fcce81b33057902b51dad743a53b0cf5bd801a74f19b",
        "d7b8fcdcc115a8a91fa95427895542b07fc20faaaed1d109b95797d99941d802",
        ...TEST_CHECKSUMS,
      ],
      embeddedIn: dirname(require.resolve("#package/benchmarks/datasets/fashionMnist/README.md")),
    },
  ),
  idxDataset(
    {
      ...FASHION_MNIST,
      name: "fashionMnistFull",
      title: "Fashion-MNIST (all 60,000 training images)",
    },
    {
      names: MNIST_FILES,
      checksums: [
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ...TEST_CHECKSUMS,
      ],
    },
  ),
  idxDataset(
    {
      name: "mnist",
      title: "MNIST",
      license: "CC BY-SA 3.0",
      classes: 10,
      mean: [0.1307],
      deviation: [0.3081],
      mayFlip: false,
    },
    { names: MNIST_FILES },
  ),
  cifarDataset(
    {
      name: "cifar10",
      title: "CIFAR-10",
      license: "research only, not distributed here",
      classes: 10,
      mean: [0.4914, 0.4822, 0.4465],
      deviation: [0.247, 0.2435, 0.2616],
      mayFlip: true,
    },
    1,
    {
      train: [1, 2, 3, 4, 5].map((i) => `data_batch_${String(i)}.bin`),
      test: ["test_batch.bin"],
    },
  ),
  cifarDataset(
    {
      name: "cifar100",
      title: "CIFAR-100",
      license: "research only, not distributed here",
      classes: 100,
      mean: [0.5071, 0.4865, 0.4409],
      deviation: [0.2673, 0.2564, 0.2762],
      mayFlip: true,
    },
    2,
    { train: ["train.bin"], test: ["test.bin"] },
  ),
  imagenet,
];
