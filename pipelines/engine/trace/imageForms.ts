/** Images whose channels may share a block at most: more would leave too few for whole sixteens. */
const MOST_TOGETHER = 4;
/** Images of the smallest chunks: gradients of filters put as many into a block. */
const FEWEST_IMAGES = 16;

/** How a batch of images is cut and its channels are grouped. */
export interface BlockedOptions {
  /** Channels that lie next to each other in memory: 16 with AVX-512, 8 with AVX2. */
  readonly block: number;
  /** Bytes of a chunk at most: what flows through several operations while it is in the cache. */
  readonly chunkBytes: number;
}

type Shape = readonly number[];

/** How the images of a shape fill blocks. */
export interface Form {
  /** Images that lie in one block side by side, where one has too few channels to fill it. */
  readonly together: number;
  /** Channels of one image, filled up: its part of a block, or whole blocks. */
  readonly channels: number;
}

/** How a convolution sees its images: so many as one, with the channels of all of them. */
export interface Grouping {
  readonly group: number;
  /** Chunks that it is computed in: as many as either side has. */
  readonly chunks: number;
  /** Channels of one image, filled up, on both sides of the convolution. */
  readonly inputs: number;
  readonly outputs: number;
}

/** How the images of a step, by their NHWC shapes, fill blocks and are cut into chunks. */
export class ImageForms {
  readonly options: BlockedOptions;
  readonly #widest: ReadonlyMap<number, number>;

  /** @param widest the most channels of images by their number of pixels: one size, one cut */
  constructor(options: BlockedOptions, widest: ReadonlyMap<number, number>) {
    this.options = options;
    this.#widest = widest;
  }

  /** Only images that the smallest chunks hold whole groups of share blocks. */
  form([batch = 1, , , channels = 1]: Shape): Form {
    const { block } = this.options;
    let together = 1;
    while (
      together < MOST_TOGETHER &&
      2 * together * channels <= block &&
      fewestImages(batch) % (2 * together) === 0
    ) {
      together *= 2;
    }
    const part = block / together;
    return { together, channels: together > 1 ? part : Math.ceil(channels / block) * block };
  }

  /** Channels that a chunk of images of a shape is declared with. */
  lanes(shape: Shape): number {
    const { together, channels } = this.form(shape);
    return together * channels;
  }

  /** Images of a chunk. Of two sizes of images, the chunks of one are whole chunks of the other. */
  chunkSize([batch = 1, h = 1, w = 1, c = 1]: Shape): number {
    const widest = Math.max(c, this.#widest.get(h * w) ?? 0);
    const bytes = 4 * h * w * this.form([batch, h, w, widest]).channels;
    let size = fewestImages(batch);
    while (size < batch) {
      const next = size * smallestFactor(batch / size);
      if (next * bytes > this.options.chunkBytes) break;
      size = next;
    }
    return size;
  }

  chunkCount(shape: Shape): number {
    return (shape[0] ?? 1) / this.chunkSize(shape);
  }

  /** Declared shape of a chunk. */
  declared(shape: Shape): number[] {
    const [, h = 1, w = 1] = shape;
    const { together, channels } = this.form(shape);
    return [this.chunkSize(shape) / together, together * channels, h, w];
  }

  /** As many images at once as either side of a convolution puts together. */
  grouping(input: Shape, output: Shape): Grouping {
    const [inputs, outputs] = [this.form(input), this.form(output)];
    return {
      group: Math.max(inputs.together, outputs.together),
      chunks: Math.max(this.chunkCount(input), this.chunkCount(output)),
      inputs: inputs.channels,
      outputs: outputs.channels,
    };
  }

  /** The same for images that lie in no block; none when together they have channels for one. */
  narrowGrouping([, , , inputs = 1]: Shape, output: Shape): Grouping | undefined {
    const { together, channels } = this.form(output);
    if (together * inputs >= this.options.block) return undefined;
    return { group: together, chunks: this.chunkCount(output), inputs, outputs: channels };
  }
}

/** The largest part of a batch that is no more than the smallest chunks are to have. */
function fewestImages(batch: number): number {
  const sizes = Array.from({ length: FEWEST_IMAGES }, (_, i) => FEWEST_IMAGES - i);
  const size = sizes.find((candidate) => batch % candidate === 0) ?? batch;
  // Many tiny chunks cost more in calls than they save in memory traffic.
  return size * 4 < FEWEST_IMAGES ? batch : size;
}

function smallestFactor(count: number): number {
  for (let factor = 2; factor * factor <= count; factor++) {
    if (count % factor === 0) return factor;
  }
  return count;
}
