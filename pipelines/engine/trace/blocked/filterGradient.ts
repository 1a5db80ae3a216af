import type * as tf from "#tf";
import {
  convolutionInfo,
  type ConvolutionAttributes,
  type ConvolutionInfo,
} from "../convolutionInfo.js";
import type { Call } from "../program.js";
import type { TraceBackend } from "../traceBackend.js";
import { withoutFactor } from "./affine.js";
import { narrowGrouping } from "./convolution.js";
import { diagonalSum, groupedChannels } from "./filters.js";
import { row, summed } from "./reductions.js";
import { inputOf, lowerBlocked, outputOf, type BlockedContext } from "./registry.js";
import { imagePads, windowGradient, type FilterGradient } from "./windowGradient.js";

type Info = tf.TensorInfo;

lowerBlocked("Conv2DBackpropFilter", (call, context) => {
  const { trace } = context;
  const { images } = trace;
  const { x, dy, upstream, info } = operandsOf(call, context, false);
  if (!trace.isBlocked(upstream.images)) return undefined;
  const narrow = narrowGrouping(x, dy.shape, context);
  const grouping = narrow ?? images.grouping(x.shape, dy.shape);
  const gradients = images.grouped(trace.blocked(upstream.images).chunks, dy.shape, grouping);
  if (info.filterHeight === 1 && info.filterWidth === 1) {
    if (narrow || info.padInfo.top > 0) return undefined;
    const gradient = pointwiseGradient(trace, { x, gradients, info, grouping });
    return finished(context, call, upstream.factor, gradient);
  }
  const pads = imagePads(info);
  if (pads.some((pad) => pad < 0)) return undefined;
  const wanted = { x, gradients, info, grouping };
  const gradient = windowGradient(trace, wanted, { plain: narrow !== undefined, pads });
  return finished(context, call, upstream.factor, gradient);
});

lowerBlocked("DepthwiseConv2dNativeBackpropFilter", (call, context) => {
  const { trace } = context;
  const { x, dy, upstream, info } = operandsOf(call, context, true);
  if (!trace.isBlocked(upstream.images) || !trace.isBlocked(x)) return undefined;
  if (info.inChannels !== info.outChannels) return undefined;
  const pads = imagePads(info);
  if (pads.some((pad) => pad < 0)) return undefined;
  const grouping = trace.images.grouping(x.shape, dy.shape);
  const gradients = trace.images.grouped(trace.blocked(upstream.images).chunks, dy.shape, grouping);
  const gradient = depthwiseGradient(trace, { x, gradients, info, grouping });
  return finished(context, call, upstream.factor, gradient);
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
  const chunks = images.grouped(trace.blocked(x).chunks, x.shape, grouping);
  const strided = info.strideHeight > 1 || info.strideWidth > 1;
  const parts = gradients.map((gradient, i) => {
    const seen = strided ? everyNth(trace, chunks[i] ?? "", info) : (chunks[i] ?? "");
    const pixels = strided ? outHeight * outWidth : inHeight * inWidth;
    return graph.add("Gemm", [joined(seen, c, pixels), joined(gradient, o, outHeight * outWidth)], {
      transA: 1,
    });
  });
  return diagonalSum(images, summed(trace, parts), [1, 1, inChannels, outChannels], grouping);
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
  { x, gradients, info, grouping }: FilterGradient,
): string {
  const { images, graph } = trace;
  const { block } = images.options;
  const { batchSize, inChannels, filterHeight: kh, filterWidth: kw } = info;
  const { group, inputs: channels } = grouping;
  const all = (batchSize / gradients.length) * channels;
  const chunks = images.grouped(trace.blocked(x).chunks, x.shape, grouping);
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
  const groups = batchSize / group;
  const perGroup = images.reshape(images.joined(parts, 1), [groups, -1]);
  const sums = graph.add("MatMul", [row(trace, groups, 1), perGroup]);
  const taps = images.transpose(sums, [-1, kh * kw, block], [1, 0, 2]);
  const each = images.reshape(taps, [kh * kw, group, channels]);
  const summedUp =
    group === 1 ? each : graph.add("ReduceSum", [each, graph.integers([1])], { keepdims: 0 });
  const filled = images.reshape(summedUp, [kh * kw, channels]);
  return images.reshape(images.cutAxis(filled, 1, inChannels, channels), [kh, kw, inChannels, 1]);
}
