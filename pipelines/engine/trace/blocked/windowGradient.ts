import type * as tf from "#tf";
import { dataTypeCode } from "../../../onnx/index.js";
import type { ConvolutionInfo } from "../convolutionInfo.js";
import type { Grouping } from "../imageForms.js";
import type { BlockedImages } from "../images.js";
import type { BlockedValue, Codes, TraceBackend } from "../traceBackend.js";
import { diagonalSum, groupedChannels } from "./filters.js";
import { row, summed } from "./reductions.js";

type Info = tf.TensorInfo;

export interface FilterGradient {
  readonly x: Info;
  /** In groups of images, as the convolution saw them. */
  readonly gradients: readonly string[];
  readonly info: ConvolutionInfo;
  readonly grouping: Grouping;
}

/** Padding of the images so that the gradients, as a filter, meet them once for each tap. */
export function imagePads(info: ConvolutionInfo): number[] {
  const end = (size: number, out: number, stride: number, taps: number, before: number) =>
    taps + (out - 1) * stride - size - before;
  const { padInfo } = info;
  return [
    padInfo.top,
    padInfo.left,
    end(info.inHeight, info.outHeight, info.strideHeight, info.filterHeight, padInfo.top),
    end(info.inWidth, info.outWidth, info.strideWidth, info.filterWidth, padInfo.left),
  ];
}

/**
 * The gradient of a filter with a window: a convolution of the images with the upstream gradients
 * as filters; nothing is copied once for each tap. The channels of a block lie side by side in each
 * row, so that a row of the result holds every tap of all of them, enough for the convolution's
 * inner loop to compute at full speed. tfjs has no gradients of dilated convolutions.
 *
 * @param plain whether the images lie in no block
 */
export function windowGradient(
  trace: TraceBackend,
  { x, gradients, info, grouping }: FilterGradient,
  { plain, pads }: { readonly plain: boolean; readonly pads: readonly number[] },
): string {
  const { images, graph } = trace;
  const { block } = images.options;
  const { inHeight, inWidth, outHeight, outWidth, filterHeight: kh, filterWidth: kw } = info;
  const { inputs, outputs: o } = groupedChannels(grouping);
  const [top = 0, left = 0, bottom = 0, right = 0] = pads;
  const source = plain ? plainSource(trace, x, grouping) : blockedSource(trace, x, grouping);
  const beside = plain ? inputs : block;
  const rows = inputs / beside;
  const size = info.batchSize / gradients.length / grouping.group;

  // What each image gives has to be summed, which is cheap where images are large.
  const inside = inputs * inHeight * inWidth + o * outHeight * outWidth;
  const cheap = 2 * inputs * o * kh * kw <= inside;
  const whole = size < block || size % block === 0; // what a convolution takes
  const arranged = cheap && whole ? imagesAsGroups : imagesAsChannels;
  const parts = gradients.map((gradient, i) => {
    const shape = [size, rows, inHeight * inWidth * beside] as const;
    const chunk = { name: source.chunks[i] ?? "", shape };
    const { image, filter, count, unit, group } = arranged(images, chunk, {
      ...{ name: gradient, shape: [size, o / block, outHeight * outWidth] },
    });
    const surrounded = padded(
      trace,
      images.reshape(image, [-1, inWidth, beside * unit]),
      [0, left, 0, 0, right, 0],
      source,
    );
    const width = (inWidth + left + right) * beside;
    const result = images.convolve(
      [
        images.reshape(asNumbers(trace, surrounded, source), [rows, count, inHeight, width]),
        images.reshape(filter, [group * o, count / group, outHeight, outWidth]),
      ],
      {
        ...{ kernel: [outHeight, outWidth], pads: [top, 0, bottom, 0], group },
        dilations: [info.strideHeight, info.strideWidth * beside],
      },
    );
    if (group === 1) return result;
    return graph.add("MatMul", [row(trace, group, 1), images.reshape(result, [rows, group, -1])]);
  });
  const taps = images.transpose(
    summed(trace, parts),
    [rows, o / block, kh, kw, beside, block],
    [2, 3, 0, 4, 1, 5],
  );
  const own = diagonalSum(images, taps, [kh, kw, info.inChannels, info.outChannels], grouping);
  return source.scale === undefined ? own : graph.add("Mul", [own, source.scale]);
}

interface Chunk {
  readonly name: string;
  /** Images, blocks of channels, what lies in each. */
  readonly shape: readonly [images: number, blocks: number, n: number];
}

/** What a convolution reads for the gradient of a filter. */
interface Arranged {
  readonly image: string;
  readonly filter: string;
  /** Channels of the image, as the convolution takes it. */
  readonly count: number;
  /** How many of them lie next to each other. */
  readonly unit: number;
  readonly group: number;
}

type Arrangement = (images: BlockedImages, chunk: Chunk, gradient: Chunk) => Arranged;

/** Each image is a channel and a group of its own: nothing moves, and each gives a result. */
const imagesAsGroups: Arrangement = (images, { name, shape }, gradient) => {
  const [size, rows] = shape;
  return {
    image: rows === 1 ? name : images.transpose(name, shape, [1, 0, 2]),
    filter: gradient.name,
    ...{ count: size, unit: 1, group: size },
  };
};

/** Images take the place of channels, filled up to blocks, and the result is their sum. */
const imagesAsChannels: Arrangement = (images, chunk, gradient) => {
  const { block } = images.options;
  const [size, rows, n] = chunk.shape;
  const count = Math.ceil(size / block) * block;
  // What fills the images is multiplied by what fills the gradients: 0.
  const fill = (name: string) => images.padAxis(name, 3, 0, count - size);
  const filter = images.transpose(
    fill(images.reshape(gradient.name, [...gradient.shape.slice(0, 2), gradient.shape[2] * block])),
    [count / block, block, gradient.shape[1], gradient.shape[2], block],
    [2, 0, 3, 1, 4],
  );
  const filled = fill(images.reshape(chunk.name, chunk.shape));
  return {
    image: imagesLast(images, filled, [count, rows, n]),
    filter,
    count,
    unit: block,
    group: 1,
  };
};

/** [images, rows, n] -> [rows, images / block, n, block] by moves that onnxruntime does fast. */
function imagesLast(
  images: BlockedImages,
  name: string,
  [count, rows, n]: readonly [number, number, number],
): string {
  const { block } = images.options;
  if (rows === 1) return images.transpose(name, [count / block, block, n], [0, 2, 1]);
  const last = images.transpose(name, [count, rows * n], [1, 0]);
  if (count === block) return last;
  return images.transpose(last, [rows, n, count / block, block], [0, 2, 1, 3]);
}

type Source = Pick<BlockedValue, "chunks"> & Partial<Codes>;

/** Images in no block, with the channels of a group side by side. */
function plainSource(trace: TraceBackend, x: Info, { group, chunks }: Grouping): Source {
  const { images } = trace;
  const [batch = 1, h = 1, w = 1, c = 1] = x.shape;
  const parts = images.slices(trace.plain(x), batch, chunks);
  if (group === 1) return { chunks: parts };
  return {
    chunks: parts.map((part) => images.transpose(part, [-1, group, h * w, c], [0, 2, 1, 3])),
  };
}

function blockedSource(trace: TraceBackend, x: Info, grouping: Grouping): Source {
  const { codes, chunks } = trace.blocked(x);
  const source: Source = codes ?? { chunks };
  return { ...source, chunks: trace.images.grouped(source.chunks, x.shape, grouping) };
}

/** Pads with what stands for 0. */
function padded(
  { graph }: TraceBackend,
  name: string,
  amounts: readonly number[],
  { zeroPoint }: Source,
): string {
  if (amounts.every((amount) => amount === 0)) return name;
  return graph.add("Pad", [name, graph.integers(amounts), ...(zeroPoint ? [zeroPoint] : [])]);
}

/** Codes as floats, without their zero point. */
function asNumbers({ graph }: TraceBackend, name: string, { scale, zeroPoint }: Source): string {
  if (scale === undefined) return name;
  const toFloat = (value: string) => graph.add("Cast", [value], { to: dataTypeCode("float32") });
  return zeroPoint === undefined
    ? toFloat(name)
    : graph.add("Sub", [toFloat(name), toFloat(zeroPoint)]);
}
