import type { OnnxGraph } from "../../onnx/index.js";
import { ImageForms, type Grouping } from "./imageForms.js";

/** The domain of the operators that onnxruntime's own optimizer inserts. */
const DOMAIN = "com.microsoft.nchwc";

type Shape = readonly number[];

/** What a convolution is told besides its inputs. */
interface ConvolutionForm {
  readonly kernel: readonly [number, number];
  readonly pads?: readonly number[];
  readonly strides?: readonly number[];
  readonly dilations?: readonly number[];
  readonly group?: number;
  readonly activation?: "Relu" | "Relu6";
}

/** activation(x * scale + shift + addend), with one scale and shift for each channel of a chunk. */
interface Affine {
  readonly scale?: { readonly name: string; readonly lanes: number } | undefined;
  readonly shift?: string | undefined;
  readonly addend?: string | undefined;
  readonly activation?: "Relu" | "Relu6" | undefined;
}

/**
 * The blocked layout of images: physically [n, channels / block, height, width, block], declared
 * as [n, channels, height, width], in one graph value for each chunk of the batch. Channels are
 * filled up to whole blocks; what lies in the filling is unspecified but finite. Images of few
 * channels share a block, as if they were one image: a block of 16 holds two of 8 channels each.
 * Where a step leads to more channels, images come apart again without moving.
 */
export class BlockedImages extends ImageForms {
  /** The chunk, by its first image, of the values that begin one: slices of the batch. */
  readonly chunkOf = new Map<string, number>();
  /** What whole batches take, where several chunks are joined to one. */
  readonly bytesOf = new Map<string, number>();

  readonly #reshaped = new Map<string, string>();
  readonly #convolutions = new Map<
    string,
    { readonly inputs: readonly string[]; readonly attributes: ConvolutionForm }
  >();
  readonly graph: OnnxGraph;

  constructor(graph: OnnxGraph, ...forms: ConstructorParameters<typeof ImageForms>) {
    super(...forms);
    this.graph = graph;
  }

  /** Chunks of images as a convolution sees them. */
  grouped(
    chunks: readonly string[],
    shape: Shape,
    { group, chunks: count }: Pick<Grouping, "group" | "chunks">,
  ): readonly string[] {
    const [, h = 1, w = 1] = shape;
    const { together } = this.form(shape);
    const parts = this.#cut(chunks, shape, count);
    if (together === group) return parts;
    return parts.map((part) =>
      this.reshape(part, [-1, (group / together) * this.lanes(shape), h, w]),
    );
  }

  /** What a convolution gave for groups of images of a shape. */
  ungrouped(chunks: readonly string[], shape: Shape, { group }: Grouping): readonly string[] {
    const count = this.chunkCount(shape);
    const parts = chunks.length / count;
    const [batch = 1] = shape;
    const whole =
      parts === 1
        ? chunks
        : Array.from({ length: count }, (_, i) => {
            const joined = this.joined(chunks.slice(i * parts, (i + 1) * parts));
            this.chunkOf.set(joined, (i * batch) / count);
            return joined;
          });
    if (this.form(shape).together === group) return whole;
    return whole.map((chunk) => this.reshape(chunk, this.declared(shape)));
  }

  #cut(chunks: readonly string[], shape: Shape, count: number): readonly string[] {
    const parts = count / chunks.length;
    if (parts === 1) return chunks;
    const [batch = 1] = shape;
    const size = batch / count / this.form(shape).together;
    return chunks.flatMap((chunk, i) =>
      Array.from({ length: parts }, (_, part) => {
        const name = this.slice(chunk, 0, part * size, size);
        this.chunkOf.set(name, ((i * parts + part) * batch) / count);
        return name;
      }),
    );
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

  convolve(inputs: readonly string[], attributes: ConvolutionForm): string {
    const { kernel, pads = [0, 0, 0, 0], strides = [1, 1], dilations = [1, 1] } = attributes;
    const { group = 1, activation } = attributes;
    const output = this.graph.add(`${DOMAIN}:Conv`, inputs, {
      kernel_shape: kernel,
      pads,
      strides,
      dilations,
      group,
      ...(activation === "Relu" && { activation }),
      ...(activation === "Relu6" && { activation: "Clip", activation_params: { float: [0, 6] } }),
    });
    this.#convolutions.set(output, { inputs, attributes });
    return output;
  }

  /** A recorded convolution with more behind it; undefined for what is none, or has that already. */
  convolvedThen(name: string, { scale, ...behind }: Affine): string | undefined {
    const { inputs: [x = "", filter = "", ...more] = [], attributes } =
      this.#convolutions.get(name) ?? {};
    if (attributes === undefined || more.length > 0 || attributes.activation) return undefined;
    if (scale === undefined) return this.#convolvePlus([x, filter], behind, attributes);
    const { block } = this.options;
    const scaled = this.graph.add("Mul", [
      this.reshape(filter, [scale.lanes / block, -1, block]),
      this.reshape(scale.name, [scale.lanes / block, 1, block]),
    ]);
    const declared = this.reshape(scaled, [scale.lanes, -1, ...attributes.kernel]);
    return this.#convolvePlus([x, declared], behind, attributes);
  }

  /** The same of images that are there, by a pointwise depthwise convolution. */
  affine(x: string, lanes: number, { scale, ...behind }: Affine): string {
    const ones = new Float32Array(lanes).fill(1);
    const filter = scale?.name ?? this.graph.constant("float32", [lanes], ones);
    const inputs = [x, this.reshape(filter, [lanes, 1, 1, 1])];
    return this.#convolvePlus(inputs, behind, { kernel: [1, 1], group: lanes });
  }

  #convolvePlus(
    inputs: readonly string[],
    { shift = "", addend, activation }: Omit<Affine, "scale">,
    attributes: ConvolutionForm,
  ): string {
    const more = addend !== undefined ? [shift, addend] : shift === "" ? [] : [shift];
    return this.convolve([...inputs, ...more], {
      ...attributes,
      ...(activation && { activation }),
    });
  }

  /** NHWC, the whole batch -> one blocked value a chunk */
  fromPlain(name: string, shape: Shape): string[] {
    const [batch = 1, h = 1, w = 1, c = 1] = shape;
    const { block } = this.options;
    const { together, channels } = this.form(shape);
    const apart = together > 1 ? [together, h * w, channels] : [h * w, -1, block];
    const size = this.chunkSize(shape);
    return this.slices(name, batch, batch / size).map((part) => {
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
    return this.#wholeBatch(parts, shape);
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
    return this.#wholeBatch(parts, shape);
  }

  #wholeBatch(parts: readonly string[], shape: Shape): string {
    const joined = this.joined(parts);
    if (parts.length > 1) this.bytesOf.set(joined, 4 * shape.reduce((a, b) => a * b, 1));
    return joined;
  }

  /** NCHW, the whole batch -> one blocked value a chunk */
  fromChannelsFirst(name: string, shape: Shape): string[] {
    const [batch = 1, h = 1, w = 1, c = 1] = shape;
    return this.slices(name, batch, this.chunkCount(shape)).map((part) => {
      const full = this.padAxis(part, 4, 1, this.form(shape).channels - c);
      const moved = this.transpose(full, [-1, this.options.block, h * w], [0, 2, 1]);
      return this.reshape(moved, this.declared(shape));
    });
  }

  /** Cuts a value whose first axis is the batch into so many chunks. */
  slices(name: string, batch: number, count: number): string[] {
    if (count === 1) return [name];
    const size = batch / count;
    return Array.from({ length: count }, (_, i) => {
      const part = this.slice(name, 0, i * size, size);
      this.chunkOf.set(part, i * size);
      return part;
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
}
