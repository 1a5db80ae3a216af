import type { OnnxGraph } from "../../onnx/onnxGraph.js";

/** The domain of the operators that onnxruntime's own optimizer inserts. */
const DOMAIN = "com.microsoft.nchwc";

/** Images whose channels may share a block at most: more would leave too few for whole sixteens. */
const MOST_TOGETHER = 4;

/** How a batch of images is cut and its channels are grouped. */
export interface BlockedOptions {
  /** Channels that lie next to each other in memory: 16 with AVX-512, 8 with AVX2. */
  readonly block: number;
  /** Images in a chunk at most: what flows through several operations while it is in the cache. */
  readonly chunkImages: number;
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
  /** Channels of one image, filled up, on both sides of the convolution. */
  readonly inputs: number;
  readonly outputs: number;
}

/**
 * The blocked layout of images: physically [n, channels / block, height, width, block], declared
 * as [n, channels, height, width], in one graph value for each chunk of the batch. Channels are
 * filled up to whole blocks; what lies in the filling is unspecified but finite. Images of few
 * channels share a block, as if they were one image: a block of 16 holds two of 8 channels each.
 * Where a step leads to more channels, images come apart again without moving.
 */
export class BlockedImages {
  /** The chunk of the values that begin one: slices of the batch. */
  readonly chunkOf = new Map<string, number>();

  readonly #reshaped = new Map<string, string>();
  readonly graph: OnnxGraph;
  readonly options: BlockedOptions;

  constructor(graph: OnnxGraph, options: BlockedOptions) {
    this.graph = graph;
    this.options = options;
  }

  form([batch = 1, , , channels = 1]: Shape): Form {
    const { block } = this.options;
    let together = 1;
    while (
      together < MOST_TOGETHER &&
      2 * together * channels <= block &&
      chunkSize(batch, this.options) % (2 * together) === 0
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

  /** As many images at once as either side of a convolution puts together. */
  grouping(input: Shape, output: Shape): Grouping {
    const [inputs, outputs] = [this.form(input), this.form(output)];
    return {
      group: Math.max(inputs.together, outputs.together),
      inputs: inputs.channels,
      outputs: outputs.channels,
    };
  }

  /** The same for images that lie in no block; none when together they have channels for one. */
  narrowGrouping([, , , inputs = 1]: Shape, output: Shape): Grouping | undefined {
    const { together, channels } = this.form(output);
    if (together * inputs >= this.options.block) return undefined;
    return { group: together, inputs, outputs: channels };
  }

  /** First image and length of each chunk of a batch. */
  chunks(batch: number): readonly { readonly begin: number; readonly size: number }[] {
    const size = chunkSize(batch, this.options);
    return Array.from({ length: batch / size }, (_, i) => ({ begin: i * size, size }));
  }

  /** Declared shape of a chunk. */
  declared(shape: Shape): number[] {
    const { together, channels } = this.form(shape);
    return this.declaredAs(shape, together, channels);
  }

  /** The same with another number of images as one. */
  declaredAs([batch = 1, h = 1, w = 1]: Shape, group: number, channels: number): number[] {
    return [chunkSize(batch, this.options) / group, group * channels, h, w];
  }

  /** Chunks as a convolution sees them, without moving anything. */
  regrouped(chunks: readonly string[], shape: Shape, group: number): readonly string[] {
    const { together, channels } = this.form(shape);
    if (together === group) return chunks;
    return chunks.map((chunk) => this.reshape(chunk, this.declaredAs(shape, group, channels)));
  }

  /** What a convolution gave, as images of a shape. */
  ungrouped(chunks: readonly string[], shape: Shape, group: number): readonly string[] {
    if (this.form(shape).together === group) return chunks;
    return chunks.map((chunk) => this.reshape(chunk, this.declared(shape)));
  }

  reshape(name: string, shape: Shape): string {
    const source = this.#reshaped.get(name) ?? name; // of a reshape of a reshape the last counts
    const reshaped = this.graph.add("Reshape", [source, this.graph.integers(shape)]);
    this.#reshaped.set(reshaped, source);
    return reshaped;
  }

  transpose(name: string, shape: Shape, perm: readonly number[]): string {
    return this.graph.add("Transpose", [this.reshape(name, shape)], { perm });
  }

  convolve(
    inputs: readonly string[],
    attributes: {
      readonly kernel: readonly [number, number];
      readonly pads?: readonly number[];
      readonly strides?: readonly number[];
      readonly dilations?: readonly number[];
      readonly group?: number;
      readonly activation?: "Relu" | "Relu6";
    },
  ): string {
    const { kernel, pads = [0, 0, 0, 0], strides = [1, 1], dilations = [1, 1] } = attributes;
    const { group = 1, activation } = attributes;
    return this.graph.add(`${DOMAIN}:Conv`, inputs, {
      kernel_shape: kernel,
      pads,
      strides,
      dilations,
      group,
      ...(activation === "Relu" && { activation }),
      ...(activation === "Relu6" && { activation: "Clip", activation_params: { float: [0, 6] } }),
    });
  }

  /** NHWC, the whole batch -> one blocked value a chunk */
  fromPlain(name: string, shape: Shape): string[] {
    const [batch = 1, h = 1, w = 1, c = 1] = shape;
    const { block } = this.options;
    const { together, channels } = this.form(shape);
    const apart = together > 1 ? [together, h * w, channels] : [h * w, -1, block];
    return this.slices(name, batch).map(({ name: part, size }) => {
      const full = this.padAxis(part, 4, 3, channels - c);
      if (h * w === 1) return this.reshape(full, this.declared(shape));
      const pixels = this.transpose(full, [size / together, ...apart], [0, 2, 1, 3]);
      return this.reshape(pixels, this.declared(shape));
    });
  }

  /** One blocked value a chunk -> NHWC, the whole batch */
  toPlain(chunks: readonly string[], shape: Shape): string {
    const [batch = 1, h = 1, w = 1, c = 1] = shape;
    const size = batch / chunks.length;
    const { block } = this.options;
    const { together, channels } = this.form(shape);
    const apart = together > 1 ? [h * w, together, channels] : [-1, h * w, block];
    const parts = chunks.map((chunk) => {
      const moved =
        h * w === 1 ? chunk : this.transpose(chunk, [size / together, ...apart], [0, 2, 1, 3]);
      return this.cutAxis(this.reshape(moved, [size, h, w, channels]), 3, c, channels);
    });
    return this.joined(parts);
  }

  /** One blocked value a chunk -> NCHW, the whole batch */
  toChannelsFirst(chunks: readonly string[], shape: Shape): string {
    const [batch = 1, h = 1, w = 1, c = 1] = shape;
    const size = batch / chunks.length;
    const { channels } = this.form(shape);
    const parts = chunks.map((chunk) => {
      const moved = this.transpose(chunk, [-1, h * w, this.options.block], [0, 2, 1]);
      return this.cutAxis(this.reshape(moved, [size, channels, h, w]), 1, c, channels);
    });
    return this.joined(parts);
  }

  /** NCHW, the whole batch -> one blocked value a chunk */
  fromChannelsFirst(name: string, shape: Shape): string[] {
    const [batch = 1, h = 1, w = 1, c = 1] = shape;
    return this.slices(name, batch).map(({ name: part }) => {
      const full = this.padAxis(part, 4, 1, this.form(shape).channels - c);
      const moved = this.transpose(full, [-1, this.options.block, h * w], [0, 2, 1]);
      return this.reshape(moved, this.declared(shape));
    });
  }

  /** Cuts a value whose first axis is the batch into chunks. */
  slices(name: string, batch: number): { readonly name: string; readonly size: number }[] {
    const chunks = this.chunks(batch);
    if (chunks.length === 1) return [{ name, size: batch }];
    return chunks.map(({ begin, size }, i) => {
      const part = this.slice(name, 0, begin, size);
      this.chunkOf.set(part, i);
      return { name: part, size };
    });
  }

  slice(name: string, axis: number, begin: number, size: number): string {
    return this.graph.add("Slice", [
      name,
      ...[[begin], [begin + size], [axis]].map((values) => this.graph.integers(values)),
    ]);
  }

  joined(parts: readonly string[], axis = 0): string {
    const [only] = parts;
    return only !== undefined && parts.length === 1
      ? only
      : this.graph.add("Concat", parts, { axis });
  }

  /** Appends zeros to an axis of a value of the given rank. */
  padAxis(name: string, rank: number, axis: number, count: number): string {
    if (count === 0) return name;
    const pads = new Array<number>(2 * rank).fill(0);
    pads[rank + axis] = count;
    return this.graph.add("Pad", [name, this.graph.integers(pads)]);
  }

  cutAxis(name: string, axis: number, size: number, from: number): string {
    return size === from ? name : this.slice(name, axis, 0, size);
  }

  /** A value for each channel of images of a shape -> one for each channel that a chunk has. */
  channelVector(name: string, shape: Shape): string {
    const [, , , c = 1] = shape;
    const { together, channels } = this.form(shape);
    const full = this.padAxis(this.reshape(name, [c]), 1, 0, channels - c);
    return together === 1 ? full : this.graph.add("Tile", [full, this.graph.integers([together])]);
  }

  /** HWIO -> the order of a blocked convolution's filter for groups of images, declared OIHW. */
  filter(name: string, shape: Shape, grouping: Grouping): string {
    const [kh = 1, kw = 1] = shape;
    const { block } = this.options;
    const { inputs: i, outputs: o } = groupedChannels(grouping);
    const moved = this.transpose(
      this.diagonal(name, shape, grouping),
      [kh * kw, i / block, block, o / block, block],
      [3, 1, 0, 2, 4],
    );
    return this.reshape(moved, [o, i, kh, kw]);
  }

  /** HWIO -> the filter of a convolution that reads plain NCHW with fewer channels than a block. */
  narrowFilter(name: string, shape: Shape, grouping: Grouping): string {
    const [kh = 1, kw = 1] = shape;
    const { block } = this.options;
    const { inputs: i, outputs: o } = groupedChannels(grouping);
    const full = this.diagonal(name, shape, grouping);
    const moved = this.transpose(full, [kh * kw, i, o / block, block], [2, 1, 0, 3]);
    return this.reshape(moved, [o, i, kh, kw]);
  }

  /** HWIO -> [h * w, i, o] for groups of images: each sees its own channels alone. */
  diagonal(name: string, shape: Shape, { group, inputs, outputs }: Grouping): string {
    const [kh = 1, kw = 1, i = 1, o = 1] = shape;
    const full = this.padAxis(this.padAxis(name, 4, 2, inputs - i), 4, 3, outputs - o);
    if (group === 1) return full;
    const own = Array.from({ length: group ** 2 }, (_, at) => Number(at % (group + 1) === 0));
    const spread = this.graph.add("Mul", [
      this.reshape(full, [kh * kw, 1, inputs, 1, outputs]),
      this.graph.constant("float32", [1, group, 1, group, 1], own),
    ]);
    return this.reshape(spread, [kh * kw, group * inputs, group * outputs]);
  }

  /** [taps, i, o] of groups of images -> the sum over the images of what each gave, HWIO */
  diagonalSum(name: string, shape: Shape, { group, inputs, outputs }: Grouping): string {
    const [kh = 1, kw = 1, i = 1, o = 1] = shape;
    const all = this.reshape(name, [kh * kw, group, inputs, group, outputs]);
    const [first = all, ...rest] =
      group === 1
        ? []
        : Array.from({ length: group }, (_, g) => this.slice(this.slice(all, 1, g, 1), 3, g, 1));
    const sum = rest.reduce((total, part) => this.graph.add("Add", [total, part]), first);
    const filled = this.reshape(sum, [kh, kw, inputs, outputs]);
    return this.cutAxis(this.cutAxis(filled, 2, i, inputs), 3, o, outputs);
  }

  /** HWC1 -> the filter of a depthwise convolution of blocked images of a shape. */
  depthwiseFilter(name: string, [kh = 1, kw = 1, c = 1]: Shape, images: Shape): string {
    const { block } = this.options;
    const { together, channels } = this.form(images);
    const full = this.padAxis(this.reshape(name, [kh * kw, c]), 2, 1, channels - c);
    const tiled =
      together === 1 ? full : this.graph.add("Tile", [full, this.graph.integers([1, together])]);
    return this.reshape(this.transpose(tiled, [kh * kw, -1, block], [1, 0, 2]), [-1, 1, kh, kw]);
  }
}

/** Channels of a whole group of images. */
export const groupedChannels = ({ group, inputs, outputs }: Grouping) => ({
  inputs: group * inputs,
  outputs: group * outputs,
});

/** The largest whole part of the batch that fits, whole sixteens if possible. */
function chunkSize(batch: number, { chunkImages }: BlockedOptions): number {
  const sizes = Array.from({ length: chunkImages }, (_, i) => chunkImages - i).filter(
    (size) => batch % size === 0,
  );
  const [largest = batch] = sizes;
  const size = sizes.find((candidate) => candidate % 16 === 0) ?? largest;
  // Many tiny chunks cost more in calls than they save in memory traffic.
  return size * 4 < chunkImages ? batch : size;
}
