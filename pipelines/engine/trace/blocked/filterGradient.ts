import type * as tf from "@tensorflow/tfjs";
import { dataTypeCode } from "../../../onnx/onnxGraph.js";
import {
  convolutionInfo,
  type ConvolutionAttributes,
  type ConvolutionInfo,
} from "../convolution.js";
import type { Call } from "../program.js";
import type { BlockedValue, Codes, TraceBackend } from "../traceBackend.js";
import { withoutFactor } from "./affine.js";
import { row, summed } from "./reductions.js";
import { inputOf, lowerBlocked, outputOf, type BlockedContext } from "./registry.js";

type Info = tf.TensorInfo;

lowerBlocked("Conv2DBackpropFilter", (call, context) => {
  const { trace } = context;
  const { x, upstream, info } = operandsOf(call, context, false);
  if (!trace.isBlocked(upstream.images)) return undefined;
  const narrow = !trace.isBlocked(x) && info.inChannels < trace.images.options.block;
  const gradients = trace.blocked(upstream.images).chunks;
  const pointwise = info.filterHeight === 1 && info.filterWidth === 1;
  if (pointwise) {
    if (narrow || info.padInfo.top > 0) return undefined;
    return finished(context, call, upstream.factor, pointwiseGradient(trace, x, gradients, info));
  }
  const pads = imagePads(info);
  if (pads.some((pad) => pad < 0)) return undefined;
  return finished(
    context,
    call,
    upstream.factor,
    imagesAsFilters(trace, { x, narrow, gradients, info, pads }),
  );
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
  return { x, upstream: withoutFactor(dy, context), info };
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
  readonly narrow: boolean;
  readonly gradients: readonly string[];
  readonly info: ConvolutionInfo;
  readonly pads: readonly number[];
}

/**
 * The gradient as one convolution a chunk: images take the place of channels, input channels that
 * of images, and the upstream gradients that of the filter. Nothing is copied once for each tap.
 */
function imagesAsFilters(
  trace: TraceBackend,
  { x, narrow, gradients, info, pads }: FilterGradient,
): string {
  const { images, graph } = trace;
  const { block } = images.options;
  const { batchSize, inChannels, outChannels, filterHeight: kh, filterWidth: kw } = info;
  const size = batchSize / gradients.length;
  const whole = images.padded(size); // images fill blocks now
  const rows = narrow ? inChannels : images.padded(inChannels);
  const o = images.padded(outChannels);
  const source: Source = narrow
    ? narrowChunks(trace, x, batchSize)
    : (trace.blocked(x).codes ?? trace.blocked(x));
  const [top = 0, left = 0, bottom = 0, right = 0] = pads;

  const parts = gradients.map((gradient, i) => {
    const pixels = info.inHeight * info.inWidth;
    const flat = images.transpose(source.chunks[i] ?? "", [size, rows * pixels], [1, 0]);
    const filled = padded(trace, flat, [0, 0, 0, whole - size], source);
    const moved = narrow
      ? images.transpose(filled, [rows, pixels, whole / block, block], [0, 2, 1, 3])
      : images.transpose(
          filled,
          [rows / block, pixels, block, whole / block, block],
          [0, 2, 3, 1, 4],
        );
    const surrounded = padded(
      trace,
      images.reshape(moved, [(rows * whole) / block, info.inHeight, info.inWidth, block]),
      [0, top, left, 0, 0, bottom, right, 0],
      source,
    );
    const numbers = asNumbers(trace, surrounded, source);
    const outPixels = info.outHeight * info.outWidth;
    const filter = images.transpose(
      images.padAxis(gradient, 4, 0, whole - size),
      [whole / block, block, o / block, outPixels, block],
      [2, 0, 3, 1, 4],
    );
    return images.convolve(
      [
        images.reshape(numbers, [
          rows,
          whole,
          info.inHeight + top + bottom,
          info.inWidth + left + right,
        ]),
        images.reshape(filter, [o, whole, info.outHeight, info.outWidth]),
      ],
      {
        kernel: [info.outHeight, info.outWidth],
        dilations: [info.strideHeight, info.strideWidth],
        strides: [info.dilationHeight, info.dilationWidth],
      },
    );
  });
  const taps = images.transpose(
    summed(trace, parts),
    [rows, o / block, kh * kw, block],
    [2, 0, 1, 3],
  );
  const cut = cutChannels(trace, taps, [kh, kw, rows, o], [inChannels, outChannels]);
  return source.scale === undefined ? cut : graph.add("Mul", [cut, source.scale]);
}

type Source = Pick<BlockedValue, "chunks"> & Partial<Codes>;

function narrowChunks(trace: TraceBackend, x: Info, batch: number): Source {
  const parts = trace.images.slices(trace.in("channelsFirst", x), batch);
  return { chunks: parts.map(({ name }) => name) };
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
  x: Info,
  gradients: readonly string[],
  info: ConvolutionInfo,
): string {
  const { images, graph } = trace;
  const { block } = images.options;
  const { inChannels, outChannels, inHeight, inWidth, outHeight, outWidth } = info;
  const [c, o] = [images.padded(inChannels), images.padded(outChannels)];
  const size = info.batchSize / gradients.length;
  const joined = (name: string, channels: number, pixels: number) => {
    const rows =
      channels === block
        ? name
        : images.transpose(name, [size, channels / block, pixels, block], [0, 2, 1, 3]);
    return images.reshape(rows, [size * pixels, channels]);
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
  return cutChannels(trace, summed(trace, parts), [1, 1, c, o], [inChannels, outChannels]);
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
  const { images } = trace;
  const { block } = images.options;
  const { inChannels, filterHeight: kh, filterWidth: kw } = info;
  const c = images.padded(inChannels);
  const size = info.batchSize / gradients.length;
  const { chunks } = trace.blocked(x);
  const parts = gradients.map((gradient, i) => {
    return images.convolve(
      [
        images.reshape(chunks[i] ?? "", [1, size * c, info.inHeight, info.inWidth]),
        images.reshape(gradient, [size * c, 1, info.outHeight, info.outWidth]),
      ],
      {
        kernel: [info.outHeight, info.outWidth],
        pads: imagePads(info),
        dilations: [info.strideHeight, info.strideWidth],
        strides: [info.dilationHeight, info.dilationWidth],
        group: size * c,
      },
    );
  });
  const perImage = images.reshape(images.joined(parts, 1), [info.batchSize, -1]);
  const sums = trace.graph.add("MatMul", [row(trace, info.batchSize, 1), perImage]);
  const taps = images.transpose(sums, [c / block, kh * kw, block], [1, 0, 2]);
  return images.reshape(images.cutAxis(images.reshape(taps, [kh * kw, c]), 1, inChannels, c), [
    kh,
    kw,
    inChannels,
    1,
  ]);
}

/** [kh, kw, c, o] without the channels that only fill blocks */
function cutChannels(
  { images }: TraceBackend,
  name: string,
  shape: readonly [kh: number, kw: number, c: number, o: number],
  [inputs, outputs]: readonly [number, number],
): string {
  const [, , c, o] = shape;
  return images.cutAxis(images.cutAxis(images.reshape(name, shape), 2, inputs, c), 3, outputs, o);
}
