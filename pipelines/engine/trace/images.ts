import type { OnnxGraph } from "../../onnx/onnxGraph.js";

/** The domain of the operators that onnxruntime's own optimizer inserts. */
const DOMAIN = "com.microsoft.nchwc";

/** How a batch of images is cut and its channels are grouped. */
export interface BlockedOptions {
  /** Channels that lie next to each other in memory: 16 with AVX-512, 8 with AVX2. */
  readonly block: number;
  /** Images in a chunk at most: what flows through several operations while it is in the cache. */
  readonly chunkImages: number;
}

type Shape = readonly number[];

/**
 * The blocked layout of images: physically [n, channels / block, height, width, block], declared
 * as [n, channels, height, width], in one graph value for each chunk of the batch. Channels are
 * filled up to whole blocks; what lies in the filling is unspecified but finite.
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

  padded(channels: number): number {
    const { block } = this.options;
    return Math.ceil(channels / block) * block;
  }

  /** First image and length of each chunk of a batch. */
  chunks(batch: number): readonly { readonly begin: number; readonly size: number }[] {
    const size = chunkSize(batch, this.options);
    return Array.from({ length: batch / size }, (_, i) => ({ begin: i * size, size }));
  }

  /** Declared shape of a chunk. */
  declared([, h = 1, w = 1, c = 1]: Shape, size: number): number[] {
    return [size, this.padded(c), h, w];
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
    return this.slices(name, batch).map(({ name: part, size }) => {
      const full = this.padAxis(part, 4, 3, this.padded(c) - c);
      if (h * w === 1) return this.reshape(full, this.declared(shape, size));
      const pixels = this.transpose(full, [size, h * w, -1, block], [0, 2, 1, 3]);
      return this.reshape(pixels, this.declared(shape, size));
    });
  }

  /** One blocked value a chunk -> NHWC, the whole batch */
  toPlain(chunks: readonly string[], [batch = 1, h = 1, w = 1, c = 1]: Shape): string {
    const size = batch / chunks.length;
    const { block } = this.options;
    const padded = this.padded(c);
    const parts = chunks.map((chunk) => {
      const moved =
        h * w === 1
          ? chunk
          : this.transpose(chunk, [size, padded / block, h * w, block], [0, 2, 1, 3]);
      return this.cutAxis(this.reshape(moved, [size, h, w, padded]), 3, c, padded);
    });
    return this.joined(parts);
  }

  /** One blocked value a chunk -> NCHW, the whole batch */
  toChannelsFirst(chunks: readonly string[], [batch = 1, h = 1, w = 1, c = 1]: Shape): string {
    const size = batch / chunks.length;
    const { block } = this.options;
    const padded = this.padded(c);
    const parts = chunks.map((chunk) => {
      const moved = this.transpose(chunk, [size, padded / block, h * w, block], [0, 1, 3, 2]);
      return this.cutAxis(this.reshape(moved, [size, padded, h, w]), 1, c, padded);
    });
    return this.joined(parts);
  }

  /** NCHW, the whole batch -> one blocked value a chunk */
  fromChannelsFirst(name: string, shape: Shape): string[] {
    const [batch = 1, h = 1, w = 1, c = 1] = shape;
    const { block } = this.options;
    return this.slices(name, batch).map(({ name: part, size }) => {
      const full = this.padAxis(part, 4, 1, this.padded(c) - c);
      const moved = this.transpose(full, [size, -1, block, h * w], [0, 1, 3, 2]);
      return this.reshape(moved, this.declared(shape, size));
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

  /** [channels] (any shape of that many elements) -> filled up to whole blocks with zeros */
  channelVector(name: string, channels: number): string {
    const flat = this.reshape(name, [channels]);
    const missing = this.padded(channels) - channels;
    if (missing === 0) return flat;
    return this.graph.add("Pad", [flat, this.graph.integers([0, missing])]);
  }

  /** HWIO -> the order of a blocked convolution's filter, declared OIHW. */
  filter(name: string, shape: Shape): string {
    const [kh = 1, kw = 1, inputs = 1, outputs = 1] = shape;
    const { block } = this.options;
    const [i, o] = [this.padded(inputs), this.padded(outputs)];
    const full = this.padAxis(this.padAxis(name, 4, 2, i - inputs), 4, 3, o - outputs);
    const moved = this.transpose(
      full,
      [kh * kw, i / block, block, o / block, block],
      [3, 1, 0, 2, 4],
    );
    return this.reshape(moved, [o, i, kh, kw]);
  }

  /** HWIO -> the filter of a convolution that reads plain NCHW with fewer channels than a block. */
  narrowFilter(name: string, shape: Shape): string {
    const [kh = 1, kw = 1, inputs = 1, outputs = 1] = shape;
    const { block } = this.options;
    const o = this.padded(outputs);
    const full = this.padAxis(name, 4, 3, o - outputs);
    const moved = this.transpose(full, [kh * kw, inputs, o / block, block], [2, 1, 0, 3]);
    return this.reshape(moved, [o, inputs, kh, kw]);
  }

  /** HWC1 -> the filter of a blocked depthwise convolution. */
  depthwiseFilter(name: string, shape: Shape): string {
    const [kh = 1, kw = 1, channels = 1] = shape;
    const { block } = this.options;
    const c = this.padded(channels);
    const full = this.padAxis(this.reshape(name, [kh * kw, channels]), 2, 1, c - channels);
    return this.reshape(this.transpose(full, [kh * kw, c / block, block], [1, 0, 2]), [
      c,
      1,
      kh,
      kw,
    ]);
  }
}

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
