import type * as tf from "#tf";
import { mirroredPads } from "../convolution.js";
import {
  convolutionInfo,
  pads,
  type ConvolutionAttributes,
  type ConvolutionInfo,
} from "../convolutionInfo.js";
import type { Call } from "../program.js";
import type { Grouping } from "../imageForms.js";
import { reversed } from "../shapes.js";
import type { TraceBackend } from "../traceBackend.js";
import { withoutFactor } from "./affine.js";
import { convolutionFilter, depthwiseFilter, diagonal, groupedChannels } from "./filters.js";
import { inputOf, lowerBlocked, outputOf, type BlockedContext } from "./registry.js";

type Info = tf.TensorInfo;

lowerBlocked("Conv2D", (call, context) => {
  const { trace } = context;
  const [x, filter] = [inputOf(call, "x"), inputOf(call, "filter")];
  const info = convolutionInfo(
    x.shape,
    filter.shape,
    call.attributes as unknown as ConvolutionAttributes,
    false,
  );
  const { images } = trace;
  const { shape } = outputOf(call);
  const narrow = narrowGrouping(x, shape, context);
  const grouping = narrow ?? images.grouping(x.shape, shape);
  const inputs = narrow
    ? narrowChunks(x, trace, narrow)
    : images.grouped(trace.blocked(x).chunks, x.shape, grouping);
  const weights = convolutionFilter(images, trace.plain(filter), filter.shape, grouping);
  const results = inputs.map((chunk) =>
    images.convolve([chunk, weights], { ...geometry(info), pads: pads(info) }),
  );
  const chunks = images.ungrouped(results, shape, grouping);
  return trace.blockedResult({ chunks }, shape, "float32");
});

/** How a convolution groups images that it reads as they are: those of few channels in no block. */
export const narrowGrouping = (
  x: Info,
  output: readonly number[],
  { trace }: BlockedContext,
): Grouping | undefined =>
  trace.isBlocked(x) ? undefined : trace.images.narrowGrouping(x.shape, output);

/** NCHW images, as many as one as a convolution groups. */
function narrowChunks(x: Info, trace: TraceBackend, { group, chunks }: Grouping): string[] {
  const [batch = 1, h = 1, w = 1, c = 1] = x.shape;
  const parts = trace.images.slices(trace.in("channelsFirst", x), batch, chunks);
  if (group === 1) return parts;
  return parts.map((part) => trace.images.reshape(part, [-1, group * c, h, w]));
}

lowerBlocked("DepthwiseConv2dNative", (call, { trace }) => {
  const [x, filter] = [inputOf(call, "x"), inputOf(call, "filter")];
  const info = convolutionInfo(
    x.shape,
    filter.shape,
    call.attributes as unknown as ConvolutionAttributes,
    true,
  );
  if (info.inChannels !== info.outChannels || !trace.isBlocked(x)) return undefined;
  const { images } = trace;
  const { shape } = outputOf(call);
  const grouping = images.grouping(x.shape, shape);
  const weights = depthwiseFilter(images, trace.plain(filter), filter.shape, x.shape);
  const results = images.grouped(trace.blocked(x).chunks, x.shape, grouping).map((chunk) =>
    images.convolve([chunk, weights], {
      ...geometry(info),
      pads: pads(info),
      group: images.lanes(x.shape),
    }),
  );
  const chunks = images.ungrouped(results, shape, grouping);
  return trace.blockedResult({ chunks }, shape, "float32");
});

lowerBlocked("Conv2DBackpropInput", (call, context) => inputGradient(call, context, false));
lowerBlocked("DepthwiseConv2dNativeBackpropInput", (call, context) =>
  inputGradient(call, context, true),
);

/** The gradient of a convolution to its input: a convolution with the filter turned around. */
function inputGradient(call: Call, context: BlockedContext, depthwise: boolean): Info | undefined {
  const { trace } = context;
  const { images, graph } = trace;
  const [dy, filter] = [inputOf(call, "dy"), inputOf(call, "filter")];
  const { inputShape, ...attributes } = call.attributes as unknown as ConvolutionAttributes & {
    inputShape: number[];
  };
  const info = convolutionInfo(inputShape, filter.shape, attributes, depthwise);
  const upstream = withoutFactor(dy, context);
  if (!trace.isBlocked(upstream.images)) return undefined;
  if (depthwise && info.inChannels !== info.outChannels) return undefined;
  const { filterHeight: kh, filterWidth: kw, inChannels, outChannels } = info;

  const factor =
    upstream.factor &&
    images.reshape(trace.plain(upstream.factor), depthwise ? [1, 1, -1, 1] : [1, 1, 1, -1]);
  const plain = trace.plain(filter);
  const scaled = factor === undefined ? plain : graph.add("Mul", [plain, factor]);
  const grouping = images.grouping(inputShape, dy.shape);
  const { group, outputs } = grouping;
  const gradients = images.grouped(trace.blocked(upstream.images).chunks, dy.shape, grouping);
  const result = (grouped: readonly string[]) => {
    const chunks = images.ungrouped(grouped, inputShape, grouping);
    // Blocks of which a quarter or less is used are not worth carrying along.
    return inChannels * images.form(inputShape).together * 4 <= images.options.block
      ? trace.result(images.toPlain(chunks, inputShape), inputShape, "float32")
      : trace.blockedResult({ chunks }, inputShape, "float32");
  };

  if (!depthwise && hasPhases(info))
    return result(inputGradientByPhases(trace, gradients, scaled, info, grouping));
  const strided = info.strideHeight > 1 || info.strideWidth > 1;
  const padding = strided ? spreadPads(info) : mirroredPads(info);
  if (padding.some((pad) => pad < 0)) return undefined;
  const turned = reversed(trace, scaled, [0, 1]);
  const weights = depthwise
    ? depthwiseFilter(images, turned, filter.shape, inputShape)
    : convolutionFilter(
        images,
        graph.add("Transpose", [turned], { perm: [0, 1, 3, 2] }),
        [kh, kw, outChannels, inChannels],
        { ...grouping, inputs: outputs, outputs: grouping.inputs },
      );
  return result(
    gradients.map((chunk) =>
      images.convolve([strided ? spread(trace, chunk, group * outputs, info) : chunk, weights], {
        kernel: [kh, kw],
        dilations: [info.dilationHeight, info.dilationWidth],
        pads: padding,
        ...(depthwise && { group: images.lanes(inputShape) }),
      }),
    ),
  );
}

function geometry(info: ConvolutionInfo) {
  return {
    kernel: [info.filterHeight, info.filterWidth],
    strides: [info.strideHeight, info.strideWidth],
    dilations: [info.dilationHeight, info.dilationWidth],
  } as const;
}

/** Images of so many channels with zeros between the pixels, as many as a stride skips. */
function spread(
  { images, graph }: TraceBackend,
  chunk: string,
  channels: number,
  { outHeight, outWidth, strideHeight, strideWidth }: ConvolutionInfo,
): string {
  const { block } = images.options;
  const rows = images.reshape(chunk, [-1, outHeight, 1, outWidth, block]);
  const padded = graph.add("Pad", [
    rows,
    graph.integers([0, 0, 0, 0, 0, 0, 0, strideHeight - 1, 0, (strideWidth - 1) * block]),
  ]);
  return images.reshape(padded, [-1, channels, outHeight * strideHeight, outWidth * strideWidth]);
}

/** Padding of spread gradients so that the turned filter gives images of the input's size. */
function spreadPads(info: ConvolutionInfo): number[] {
  const side = (
    [size, out, stride]: readonly [number, number, number],
    before: number,
    reach: number,
  ) => [reach - before, size + before - out * stride] as const;
  const [top, bottom] = side(
    [info.inHeight, info.outHeight, info.strideHeight],
    info.padInfo.top,
    (info.filterHeight - 1) * info.dilationHeight,
  );
  const [left, right] = side(
    [info.inWidth, info.outWidth, info.strideWidth],
    info.padInfo.left,
    (info.filterWidth - 1) * info.dilationWidth,
  );
  return [top, left, bottom, right];
}

/** 3 x 3 with stride 2 over an even number of rows and columns: the usual downsampling. */
function hasPhases(info: ConvolutionInfo): boolean {
  const { filterHeight, filterWidth, strideHeight, strideWidth, padInfo } = info;
  const { dilationHeight, dilationWidth, inHeight, inWidth, outHeight, outWidth } = info;
  return (
    [filterHeight, filterWidth].every((size) => size === 3) &&
    [strideHeight, strideWidth].every((stride) => stride === 2) &&
    [dilationHeight, dilationWidth, padInfo.top, padInfo.left].every((value) => value === 1) &&
    inHeight === 2 * outHeight &&
    inWidth === 2 * outWidth
  );
}

/**
 * Even and odd rows and columns of the input see different taps of the filter: one convolution
 * computes the four kinds of pixels as four times the channels, and moving memory interleaves them.
 */
function inputGradientByPhases(
  trace: TraceBackend,
  gradients: readonly string[],
  filter: string,
  { inChannels, outChannels, outHeight, outWidth }: ConvolutionInfo,
  grouping: Grouping,
): string[] {
  const { images, graph } = trace;
  const { block } = images.options;
  const { inputs: c, outputs: o } = groupedChannels(grouping);
  const taps = images.reshape(diagonal(images, filter, [3, 3, inChannels, outChannels], grouping), [
    9,
    c,
    o,
  ]);
  const none = graph.constant("float32", [1, c, o], new Float32Array(c * o));
  /** The filter's row (or column) that a phase reads at an offset of the gradient. */
  const tapOf = (phase: number, offset: number) =>
    phase === 0 ? (offset === 0 ? 1 : undefined) : offset === 0 ? 2 : 0;
  const corners = [0, 1].flatMap((down) =>
    [0, 1].map((right) => {
      const phases = [0, 1].flatMap((row) =>
        [0, 1].map((column) => {
          const [i, j] = [tapOf(row, down), tapOf(column, right)];
          return i === undefined || j === undefined ? none : images.slice(taps, 0, i * 3 + j, 1);
        }),
      );
      return graph.add("Concat", phases, { axis: 1 }); // [1, 4c, o]
    }),
  );
  const kernel = graph.add("Transpose", [images.joined(corners)], { perm: [0, 2, 1] });
  const shape = [2, 2, o, 4 * c];
  const whole = { ...grouping, group: 1, inputs: o, outputs: 4 * c };
  const weights = convolutionFilter(images, images.reshape(kernel, shape), shape, whole);
  return gradients.map((chunk) => {
    const phases = images.convolve([chunk, weights], { kernel: [2, 2], pads: [0, 0, 1, 1] });
    const interleaved = images.transpose(
      phases,
      [-1, 2, 2, c / block, outHeight, outWidth, block],
      [0, 3, 4, 1, 5, 2, 6],
    );
    return images.reshape(interleaved, [-1, c, 2 * outHeight, 2 * outWidth]);
  });
}
