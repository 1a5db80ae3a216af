import type * as tf from "@tensorflow/tfjs";
import { dataTypeCode } from "../../../onnx/onnxGraph.js";
import {
  convolutionInfo,
  type ConvolutionAttributes,
  type ConvolutionInfo,
} from "../convolution.js";
import { groupedChannels, type Grouping } from "../images.js";
import type { Call } from "../program.js";
import type { BlockedValue, Codes, TraceBackend } from "../traceBackend.js";
import { withoutFactor } from "./affine.js";
import { narrowGrouping } from "./convolution.js";
import { row, summed } from "./reductions.js";
import { inputOf, lowerBlocked, outputOf, type BlockedContext } from "./registry.js";

type Info = tf.TensorInfo;

lowerBlocked("Conv2DBackpropFilter", (call, context) => {
  const { trace } = context;
  const { images } = trace;
  const { x, dy, upstream, info } = operandsOf(call, context, false);
  if (!trace.isBlocked(upstream.images)) return undefined;
  const narrow = narrowGrouping(x, dy.shape, context);
  const grouping = narrow ?? images.grouping(x.shape, dy.shape);
  const gradients = images.regrouped(
    trace.blocked(upstream.images).chunks,
    dy.shape,
    grouping.group,
  );
  if (info.filterHeight === 1 && info.filterWidth === 1) {
    if (narrow || info.padInfo.top > 0) return undefined;
    const gradient = pointwiseGradient(trace, { x, gradients, info, grouping });
    return finished(context, call, upstream.factor, gradient);
  }
  const pads = imagePads(info);
  if (pads.some((pad) => pad < 0)) return undefined;
  const plain = narrow !== undefined;
  const gradient = imagesAsFilters(trace, { x, plain, gradients, info, grouping, pads });
  return finished(context, call, upstream.factor, gradient);
});

lowerBlocked("DepthwiseConv2dNativeBackpropFilter", (call, context) => {
  const { trace } = context;
  const { x, upstream, info } = operandsOf(call, context, true);
  if (!trace.isBlocked(upstream.images) || !trace.isBlocked(x)) return undefined;
  if (info.inChannels !== info.outChannels) return undefined;
  const pads = imagePads(info);
  if (pads.some((pad) => pad < 0)) return undefined;
  const gradients = trace.blocked(upstream.images).chunks;
  return finished(context, call, upstream.factor, depthwiseGradient(trace, x, gradients, info));
});

function operandsOf(call: Call, context: BlockedContext, depthwise: boolean) {
  const [x, dy] = [inputOf(call, "x"), inputOf(call, "dy")];
  const { filterShape, ...attributes } = call.attributes as unknown as ConvolutionAttributes & {
    filterShape: number[];
  };
  const info = convolutionInfo(x.shape, filterShape, attributes, depthwise);
  return { x, dy, upstream: withoutFactor(dy, context), info };
}

function finished(
  { trace }: BlockedContext,
  call: Call,
  factor: Info | undefined,
  gradient: string,
): Info {
  const output = outputOf(call);
  const [, , inputs = 1, outputs = 1] = output.shape;
  const perFilter =
    outputs === 1 && factor?.shape.at(-1) === inputs ? [1, 1, -1, 1] : [1, 1, 1, -1];
  const scaled =
    factor === undefined
      ? gradient
      : trace.graph.add("Mul", [gradient, trace.images.reshape(trace.plain(factor), perFilter)]);
  return trace.result(scaled, output.shape, "float32");
}

/** Padding of the images so that the gradients, as a filter, meet them once for each tap. */
function imagePads(info: ConvolutionInfo): number[] {
  const end = (size: number, out: number, stride: number, taps: number, before: number) =>
    taps + (out - 1) * stride - size - before;
  const { padInfo, filterHeight, filterWidth } = info;
  return [
    padInfo.top,
    padInfo.left,
    end(info.inHeight, info.outHeight, info.strideHeight, filterHeight, padInfo.top),
    end(info.inWidth, info.outWidth, info.strideWidth, filterWidth, padInfo.left),
  ];
}

interface FilterGradient {
  readonly x: Info;
  /** In groups of images, as the convolution saw them. */
  readonly gradients: readonly string[];
  readonly info: ConvolutionInfo;
  readonly grouping: Grouping;
}

/**
 * The gradient as one convolution a chunk: images take the place of channels, blocks of input
 * channels that of images, and the upstream gradients that of the filter. The channels of a block
 * lie side by side in each row, so that a row of the result holds every tap of all of them, enough
 * for the convolution's inner loop to compute at full speed. Nothing is copied once for each tap.
 */
function imagesAsFilters(
  trace: TraceBackend,
  wanted: FilterGradient & { readonly plain: boolean; readonly pads: readonly number[] },
): string {
  const { x, plain, gradients, info, grouping, pads } = wanted;
  const { images, graph } = trace;
  const { block } = images.options;
  const { batchSize, inHeight, inWidth, outHeight, outWidth } = info;
  const { filterHeight: kh, filterWidth: kw, dilationHeight, dilationWidth } = info;
  const { inputs, outputs: o } = groupedChannels(grouping);
  const size = batchSize / gradients.length / grouping.group;
  const whole = Math.ceil(size / block) * block; // images fill blocks now
  /** Channels that lie side by side; narrow images have just theirs. */
  const beside = plain ? info.inChannels : block;
  const rows = inputs / beside;
  const source: Source = plain
    ? plainChunks(trace, x)
    : (trace.blocked(x).codes ?? trace.blocked(x));
  const [top = 0, left = 0, bottom = 0, right = 0] = pads;
  const reach = (kw - 1) * dilationWidth + 1;
  const pixels = inHeight * inWidth;

  const parts = gradients.map((gradient, i) => {
    const chunk = images.reshape(source.chunks[i] ?? "", [size, rows, pixels * beside]);
    const moved = imagesLast(trace, padded(trace, chunk, [0, 0, 0, whole - size, 0, 0], source), [
      whole,
      rows,
      pixels * beside,
    ]);
    const surrounded = padded(
      trace,
      images.reshape(moved, [(rows * whole * inHeight) / block, inWidth, beside * block]),
      [0, left, 0, 0, right, 0],
      source,
    );
    const filter = images.transpose(
      images.padAxis(gradient, 4, 0, whole - size),
      [whole / block, block, o / block, outHeight * outWidth, block],
      [2, 0, 3, 1, 4],
    );
    return images.convolve(
      [
        images.reshape(asNumbers(trace, surrounded, source), [
          rows,
          whole,
          inHeight,
          (inWidth + left + right) * beside,
        ]),
        images.reshape(filter, [o, whole, outHeight, outWidth]),
      ],
      {
        kernel: [outHeight, outWidth],
        pads: [top, 0, bottom, 0],
        dilations: [info.strideHeight, info.strideWidth * beside],
        strides: [dilationHeight, 1],
      },
    );
  });
  const taps = images.reshape(summed(trace, parts), [rows, o / block, kh, reach, beside, block]);
  const asked =
    dilationWidth === 1
      ? taps
      : graph.add("Slice", [
          taps,
          ...[0, reach, 3, dilationWidth].map((value) => graph.integers([value])),
        ]);
  const moved = graph.add("Transpose", [asked], { perm: [2, 3, 0, 4, 1, 5] });
  const cut = images.diagonalSum(moved, [kh, kw, info.inChannels, info.outChannels], grouping);
  return source.scale === undefined ? cut : graph.add("Mul", [cut, source.scale]);
}

/** [images, rows, n] -> [rows, images / block, n, block] by moves that onnxruntime does fast. */
function imagesLast(
  { images }: TraceBackend,
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

function plainChunks(trace: TraceBackend, x: Info): Source {
  const [batch = 1] = x.shape;
  return { chunks: trace.images.slices(trace.plain(x), batch).map(({ name }) => name) };
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

/** A product over all pixels, which lie in rows once the blocks of channels are joined. */
function pointwiseGradient(
  trace: TraceBackend,
  { x, gradients, info, grouping }: FilterGradient,
): string {
  const { images, graph } = trace;
  const { block } = images.options;
  const { inChannels, outChannels, inHeight, inWidth, outHeight, outWidth } = info;
  const { inputs: c, outputs: o } = groupedChannels(grouping);
  const joined = (name: string, channels: number, pixels: number) => {
    const rows =
      channels === block
        ? name
        : images.transpose(name, [-1, channels / block, pixels, block], [0, 2, 1, 3]);
    return images.reshape(rows, [-1, channels]);
  };
  const { chunks } = trace.blocked(x);
  const strided = info.strideHeight > 1 || info.strideWidth > 1;
  const parts = gradients.map((gradient, i) => {
    const seen = strided ? everyNth(trace, chunks[i] ?? "", info) : (chunks[i] ?? "");
    const pixels = strided ? outHeight * outWidth : inHeight * inWidth;
    return graph.add("Gemm", [joined(seen, c, pixels), joined(gradient, o, outHeight * outWidth)], {
      transA: 1,
    });
  });
  return images.diagonalSum(summed(trace, parts), [1, 1, inChannels, outChannels], grouping);
}

/** The pixels that a pointwise convolution with a stride reads. */
function everyNth({ images, graph }: TraceBackend, chunk: string, info: ConvolutionInfo): string {
  const { block } = images.options;
  const rows = images.reshape(chunk, [-1, info.inHeight, info.inWidth, block]);
  const ends = [info.inHeight, info.inWidth];
  const parts = graph.add("Slice", [
    rows,
    ...[[0, 0], ends, [1, 2], [info.strideHeight, info.strideWidth]].map((values) =>
      graph.integers(values),
    ),
  ]);
  return parts;
}

/** Each image's channels as channels of one large image, and the gradients as its filters. */
function depthwiseGradient(
  trace: TraceBackend,
  x: Info,
  gradients: readonly string[],
  info: ConvolutionInfo,
): string {
  const { images, graph } = trace;
  const { block } = images.options;
  const { batchSize, inChannels, filterHeight: kh, filterWidth: kw } = info;
  const { together, channels } = images.form(x.shape);
  const all = (batchSize / gradients.length) * channels;
  const { chunks } = trace.blocked(x);
  const parts = gradients.map((gradient, i) => {
    return images.convolve(
      [
        images.reshape(chunks[i] ?? "", [1, all, info.inHeight, info.inWidth]),
        images.reshape(gradient, [all, 1, info.outHeight, info.outWidth]),
      ],
      {
        kernel: [info.outHeight, info.outWidth],
        pads: imagePads(info),
        dilations: [info.strideHeight, info.strideWidth],
        strides: [info.dilationHeight, info.dilationWidth],
        group: all,
      },
    );
  });
  const groups = batchSize / together;
  const perGroup = images.reshape(images.joined(parts, 1), [groups, -1]);
  const sums = graph.add("MatMul", [row(trace, groups, 1), perGroup]);
  const taps = images.transpose(sums, [-1, kh * kw, block], [1, 0, 2]);
  const each = images.reshape(taps, [kh * kw, together, channels]);
  const summedUp =
    together === 1 ? each : graph.add("ReduceSum", [each, graph.integers([1])], { keepdims: 0 });
  const filled = images.reshape(summedUp, [kh * kw, channels]);
  return images.reshape(images.cutAxis(filled, 1, inChannels, channels), [kh, kw, inChannels, 1]);
}
