import {
  float32,
  type HostTensor,
  permutation,
  type RandomStream,
  randomStream,
  resumedStream,
} from "../engine/index.js";

/** Images as unsigned bytes, [count, height, width, channels] in row-major order. */
export interface ImageSet {
  readonly count: number;
  /** Empty where images are decoded when they are needed, or come as `values`. */
  readonly images: Uint8Array;
  /** Empty for training images without labels, which are only good for calibration. */
  readonly labels: Uint8Array | Uint16Array;
  /** Instead of bytes: images as the network is to see them, normalized already. */
  readonly values?: Float32Array;
  /**
   * Reads one image, [height, width, channels], of a set that is too large for the memory: the
   * middle, or with `random` a random part of it.
   */
  readonly decode?: (index: number, random?: RandomStream) => Uint8Array;
  /** Told which images `decode` will be asked for next, to have them ready. */
  readonly ahead?: (indices: Uint32Array) => void;
}

export interface Dataset {
  readonly name: string;
  /** [height, width, channels] */
  readonly shape: readonly number[];
  readonly classes: number;
  /** Of folders of images, in the order of the labels. */
  readonly classNames?: readonly string[];
  /** Per channel, of pixel values from 0 to 1: networks see (pixel - mean) / deviation. */
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
  /** Whether a mirrored image still shows its class. */
  readonly mayFlip: boolean;
  readonly train: ImageSet;
  readonly test: ImageSet;
  /** SHA-256 over the checksums of all its files: part of every result's identity. */
  readonly checksum: string;
}

/** A data set whose test images nobody can see. */
export type TrainingImages = Omit<Dataset, "test">;

export interface Batch {
  /** [batch, height, width, channels], normalized. */
  readonly images: HostTensor;
  /** [batch], class numbers. */
  readonly labels: HostTensor;
}

/** Where the training batches of a run are: all that it takes to go on from there. */
export interface BatchPosition {
  /** Of the stream that orders images, before the current epoch. */
  readonly order: readonly number[];
  /** Of the stream that changes images. */
  readonly changes: readonly number[];
  /** Place of the next batch in the current epoch. */
  readonly start: number;
}

export interface TrainingBatch extends Batch {
  /** Where the batch after this one begins. */
  readonly next: BatchPosition;
}

export interface Augmentation {
  /** Images move by up to this many pixels each way; what enters is black. */
  readonly shift: number;
  /** Mirror every other image, where the data set allows. */
  readonly flip: boolean;
  /** A random part of 8 to 100 % of the image at its size, where images are decoded one by one. */
  readonly randomCrop?: boolean | undefined;
}

/** The first images of each set; the whole set where no limit is given. */
export function limitDataset(
  dataset: Dataset,
  limits: { readonly trainImages?: number | undefined; readonly testImages?: number | undefined },
): Dataset {
  return {
    ...dataset,
    train: firstImages(dataset.train, limits.trainImages),
    test: firstImages(dataset.test, limits.testImages),
  };
}

/** The images of a set at these places, in this order. */
export function chosenImages(set: ImageSet, indices: Uint32Array): ImageSet {
  const { decode, ahead, values } = set;
  const pick = <T extends Uint8Array | Uint16Array | Float32Array>(all: T): T => {
    const size = all.length / set.count;
    const chosen = new (all.constructor as new (length: number) => T)(size * indices.length);
    indices.forEach((index, i) => {
      chosen.set(all.subarray(index * size, (index + 1) * size), i * size);
    });
    return chosen;
  };
  return {
    count: indices.length,
    images: pick(set.images),
    labels: pick(set.labels),
    ...(values && { values: pick(values) }),
    ...(decode && { decode: (index, random) => decode(indices[index] ?? NaN, random) }),
    ...(ahead && {
      ahead: (soon) => {
        ahead(soon.map((index) => indices[index] ?? 0));
      },
    }),
  };
}

function firstImages(set: ImageSet, limit = set.count): ImageSet {
  const count = Math.min(set.count, limit);
  const part = ({ length }: { readonly length: number }) => (length / set.count) * count;
  return {
    ...set,
    count,
    images: set.images.subarray(0, part(set.images)),
    labels: set.labels.subarray(0, count),
    ...(set.values && { values: set.values.subarray(0, part(set.values)) }),
  };
}

/**
 * Training batches without end: every epoch in a new random order, an image at most once an
 * epoch, each augmented. The same seed and name give the same batches.
 *
 * @param options.from goes on behind the batch whose `next` this is
 */
export function* trainingBatches(
  dataset: TrainingImages,
  options: {
    readonly batchSize: number;
    readonly augmentation: Augmentation;
    readonly seed: number;
    readonly name: string;
    readonly from?: BatchPosition | undefined;
  },
): Generator<TrainingBatch, never> {
  const { batchSize, augmentation, seed, name, from } = options;
  const order = from ? resumedStream(from.order) : randomStream(seed, `${name}/order`);
  const changes = from ? resumedStream(from.changes) : randomStream(seed, `${name}/augmentation`);
  const { count } = dataset.train;
  if (count < batchSize) {
    throw new RangeError(
      `batch size ${String(batchSize)} exceeds the ${String(count)} training images`,
    );
  }
  let start = from?.start ?? 0;
  for (;;) {
    const epoch = order.state();
    const indices = permutation(count, order);
    for (; start + batchSize <= count; start += batchSize) {
      const chosen = indices.subarray(start, start + batchSize);
      dataset.train.ahead?.(indices.subarray(start, Math.min(start + 2 * batchSize, count)));
      const batch = assemble(
        dataset,
        dataset.train,
        chosen,
        () => drawChange(dataset, augmentation, changes),
        augmentation.randomCrop ? changes : undefined,
      );
      const next = { order: epoch, changes: changes.state(), start: start + batchSize };
      yield { ...batch, next };
    }
    start = 0;
  }
}

/** The images of a set in order, unchanged; the last batch may be smaller. */
export function* batchesInOrder(
  dataset: TrainingImages,
  set: ImageSet,
  batchSize: number,
): Generator<Batch, undefined> {
  for (let start = 0; start < set.count; start += batchSize) {
    // The next batch is made ready while this one is computed.
    const soon = Uint32Array.from(
      { length: Math.min(2 * batchSize, set.count - start) },
      (_, i) => start + i,
    );
    set.ahead?.(soon);
    yield assemble(dataset, set, soon.subarray(0, batchSize), () => UNCHANGED);
  }
  return undefined;
}

interface Change {
  readonly down: number;
  readonly right: number;
  readonly mirrored: boolean;
}
const UNCHANGED: Change = { down: 0, right: 0, mirrored: false };

function drawChange(
  { mayFlip }: TrainingImages,
  { shift, flip }: Augmentation,
  random: RandomStream,
): Change {
  return {
    down: shift === 0 ? 0 : random.integer(2 * shift + 1) - shift,
    right: shift === 0 ? 0 : random.integer(2 * shift + 1) - shift,
    mirrored: flip && mayFlip && random.integer(2) === 1,
  };
}

function assemble(
  dataset: TrainingImages,
  set: ImageSet,
  indices: Uint32Array,
  nextChange: () => Change,
  crops?: RandomStream,
): Batch {
  const [height = 1, width = 1, channels = 1] = dataset.shape;
  const size = height * width * channels;
  const stored = set.values ?? set.images;
  const normalized = set.values ? undefined : normalizationTable(dataset);
  const images = new Float32Array(indices.length * size);
  const labels = new Int32Array(indices.length);
  indices.forEach((index, slot) => {
    labels[slot] = set.labels[index] ?? 0;
    const change = nextChange(); // before decode, which draws from the same stream
    const pixels = set.decode?.(index, crops) ?? stored.subarray(index * size, (index + 1) * size);
    const target = images.subarray(slot * size, (slot + 1) * size);
    place(target, pixels, { height, width, channels }, change, normalized);
  });
  return {
    images: { dtype: "float32", shape: [indices.length, height, width, channels], data: images },
    labels: { dtype: "int32", shape: [indices.length], data: labels },
  };
}

/** Moves, mirrors and normalizes one image, [height, width, channels]; what enters is black. */
function place(
  target: Float32Array,
  pixels: Uint8Array | Float32Array,
  size: { readonly height: number; readonly width: number; readonly channels: number },
  { down, right, mirrored }: Change,
  normalized: Float32Array | undefined,
): void {
  const { height, width, channels } = size;
  // What stays visible, in the image as it was.
  const bottom = Math.min(height, height - down);
  const left = Math.max(0, -right);
  const end = Math.min(width, width - right);
  const firstColumn = mirrored ? width - 1 - left - right : left + right;
  const step = mirrored ? -channels : channels;
  for (let channel = 0; channel < channels; channel++) {
    const table = channel * 256;
    if (down !== 0 || right !== 0) {
      const black = normalized?.[table] ?? 0;
      for (let i = channel; i < target.length; i += channels) target[i] = black;
    }
    for (let y = Math.max(0, -down); y < bottom; y++) {
      let from = (y * width + left) * channels + channel;
      let to = ((y + down) * width + firstColumn) * channels + channel;
      for (let x = left; x < end; x++, from += channels, to += step) {
        const pixel = pixels[from] ?? 0;
        target[to] = normalized === undefined ? pixel : (normalized[table + pixel] ?? 0);
      }
    }
  }
}

/** The normalized value of each of the 256 bytes, per channel. */
function normalizationTable({ mean, deviation }: TrainingImages): Float32Array {
  const table = new Float32Array(mean.length * 256);
  mean.forEach((center, channel) => {
    for (let pixel = 0; pixel < 256; pixel++) {
      table[channel * 256 + pixel] = (pixel / 255 - center) / (deviation[channel] ?? 1);
    }
  });
  return table;
}

/** [batch, height, width, channels] -> [batch, channels, height, width], as ONNX wants images. */
export function channelsFirst({ shape, data }: HostTensor): HostTensor {
  const [batch = 1, height = 1, width = 1, channels = 1] = shape;
  const pixels = height * width;
  if (channels === 1) return { dtype: "float32", shape: [batch, 1, height, width], data };
  const moved = new Float32Array(data.length);
  for (let image = 0; image < batch; image++) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      for (let channel = 0; channel < channels; channel++) {
        moved[(image * channels + channel) * pixels + pixel] =
          data[(image * pixels + pixel) * channels + channel] ?? 0;
      }
    }
  }
  return float32(moved, [batch, channels, height, width]);
}
