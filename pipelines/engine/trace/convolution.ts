import type * as tf from "#tf";
import {
  convolutionInfo,
  pads,
  type ConvolutionAttributes,
  type ConvolutionInfo,
} from "./convolutionInfo.js";
import { filterGradientByColumns, filterGradientByShifts } from "./filterGradient.js";
import { reversed, sliceAxis } from "./shapes.js";
import { lower, type TraceBackend } from "./traceBackend.js";

type Info = tf.TensorInfo;
function convolutionAttributes(info: ConvolutionInfo, groups: number) {
  return {
    strides: [info.strideHeight, info.strideWidth],
    dilations: [info.dilationHeight, info.dilationWidth],
    pads: pads(info),
    kernel_shape: [info.filterHeight, info.filterWidth],
    group: groups,
  };
}

/** HWIO -> OIHW */
const FILTER_TO_ONNX = [3, 2, 0, 1];
/** HWIO -> IOHW: input and output channels change places, as the input gradient needs it. */
const FILTER_TO_ONNX_SWAPPED = [2, 3, 0, 1];

lower<{ x: Info; filter: Info }, ConvolutionAttributes>(
  "Conv2D",
  ({ x, filter }, attributes, trace) => {
    const info = convolutionInfo(x.shape, filter.shape, attributes, false);
    const weights = trace.graph.add("Transpose", [trace.plain(filter)], { perm: FILTER_TO_ONNX });
    const y = trace.graph.add(
      "Conv",
      [trace.in("channelsFirst", x), weights],
      convolutionAttributes(info, 1),
    );
    return trace.result(y, info.outShape, "float32", "channelsFirst");
  },
);

lower<{ dy: Info; filter: Info }, ConvolutionAttributes & { inputShape: number[] }>(
  "Conv2DBackpropInput",
  ({ dy, filter }, attributes, trace) => {
    const info = convolutionInfo(attributes.inputShape, filter.shape, attributes, false);
    const weights = trace.plain(filter);
    const dx =
      info.strideHeight === 1 && info.strideWidth === 1
        ? trace.graph.add(
            "Conv",
            [
              trace.in("channelsFirst", dy),
              trace.graph.add("Transpose", [reversed(trace, weights, [0, 1])], {
                perm: FILTER_TO_ONNX_SWAPPED,
              }),
            ],
            { ...convolutionAttributes(info, 1), pads: mirroredPads(info) },
          )
        : trace.graph.add(
            "ConvTranspose",
            [
              trace.in("channelsFirst", dy),
              trace.graph.add("Transpose", [weights], { perm: FILTER_TO_ONNX }),
            ],
            { ...convolutionAttributes(info, 1), output_padding: outputPadding(info) },
          );
    return trace.result(dx, attributes.inputShape, "float32", "channelsFirst");
  },
);

lower<{ x: Info; dy: Info }, ConvolutionAttributes & { filterShape: number[] }>(
  "Conv2DBackpropFilter",
  ({ x, dy }, attributes, trace) => {
    const info = convolutionInfo(x.shape, attributes.filterShape, attributes, false);
    // Shifting whole images wins where there are few channels; gathering columns elsewhere.
    const shifts =
      info.strideHeight === 1 && info.strideWidth === 1 && info.inChannels + info.outChannels <= 32;
    const gradient =
      shifts && info.filterHeight > 1 ? filterGradientByShifts : filterGradientByColumns;
    return trace.result(gradient(trace, x, dy, info), attributes.filterShape, "float32");
  },
);

lower<{ x: Info; filter: Info }, ConvolutionAttributes>(
  "DepthwiseConv2dNative",
  ({ x, filter }, attributes, trace) => {
    const info = convolutionInfo(x.shape, filter.shape, attributes, true);
    const y = trace.graph.add(
      "Conv",
      [trace.in("channelsFirst", x), depthwiseFilter(trace, trace.plain(filter), info)],
      convolutionAttributes(info, info.inChannels),
    );
    return trace.result(y, info.outShape, "float32", "channelsFirst");
  },
);

lower<{ dy: Info; filter: Info }, ConvolutionAttributes & { inputShape: number[] }>(
  "DepthwiseConv2dNativeBackpropInput",
  ({ dy, filter }, attributes, trace) => {
    const info = convolutionInfo(attributes.inputShape, filter.shape, attributes, true);
    const strided = info.strideHeight > 1 || info.strideWidth > 1;
    const weights = trace.plain(filter);
    const dx =
      strided || info.outChannels > info.inChannels
        ? trace.graph.add(
            "ConvTranspose",
            [trace.in("channelsFirst", dy), depthwiseFilter(trace, weights, info)],
            {
              ...convolutionAttributes(info, info.inChannels),
              output_padding: outputPadding(info),
            },
          )
        : trace.graph.add(
            "Conv",
            [
              trace.in("channelsFirst", dy),
              depthwiseFilter(trace, reversed(trace, weights, [0, 1]), info),
            ],
            { ...convolutionAttributes(info, info.inChannels), pads: mirroredPads(info) },
          );
    return trace.result(dx, attributes.inputShape, "float32", "channelsFirst");
  },
);

lower<{ x: Info; dy: Info }, ConvolutionAttributes & { filterShape: number[] }>(
  "DepthwiseConv2dNativeBackpropFilter",
  ({ x, dy }, attributes, trace) => {
    const info = convolutionInfo(x.shape, attributes.filterShape, attributes, true);
    const multiplier = info.outChannels / info.inChannels;
    if (multiplier !== 1) {
      throw new RangeError(
        `depthwise gradient: channel multiplier must be 1, got ${String(multiplier)}`,
      );
    }
    return trace.result(depthwiseTaps(trace, x, dy, info), attributes.filterShape, "float32");
  },
);

/** One filter tap at a time: the input, shifted, times dy, summed over the images. */
function depthwiseTaps(trace: TraceBackend, x: Info, dy: Info, info: ConvolutionInfo): string {
  const { outHeight, outWidth, strideHeight, strideWidth, batchSize: n, inChannels: c } = info;
  const padded = trace.graph.add("Pad", [
    trace.in("channelsFirst", x),
    trace.graph.integers([
      0,
      0,
      info.padInfo.top,
      info.padInfo.left,
      0,
      0,
      info.padInfo.bottom,
      info.padInfo.right,
    ]),
    trace.graph.scalar(0),
  ]);
  const gradient = trace.in("channelsFirst", dy);
  const onesOverImages = trace.graph.constant("float32", [1, n], new Float32Array(n).fill(1));
  const taps: string[] = [];
  for (let row = 0; row < info.filterHeight; row++) {
    const begin = row * info.dilationHeight;
    const rows = sliceAxis(trace, padded, { axis: 2, begin, size: outHeight, step: strideHeight });
    for (let column = 0; column < info.filterWidth; column++) {
      const start = column * info.dilationWidth;
      const window = sliceAxis(trace, rows, {
        axis: 3,
        begin: start,
        size: outWidth,
        step: strideWidth,
      });
      const product = trace.graph.add("Mul", [window, gradient]);
      const flat = trace.reshape(product, [n, c * outHeight * outWidth]);
      taps.push(
        trace.reshape(trace.graph.add("MatMul", [onesOverImages, flat]), [
          1,
          c,
          outHeight * outWidth,
        ]),
      );
    }
  }
  const stacked = trace.graph.add("Concat", taps, { axis: 0 });
  const sums = trace.graph.add("ReduceSum", [stacked, trace.graph.integers([2])], { keepdims: 0 });
  return trace.reshape(sums, [info.filterHeight, info.filterWidth, c, 1]);
}

/** HWC1 (or HWCM) -> [C * M, 1, H, W] */
function depthwiseFilter(trace: TraceBackend, filter: string, info: ConvolutionInfo): string {
  const { filterHeight, filterWidth, outChannels } = info;
  const moved = trace.graph.add("Transpose", [filter], { perm: [2, 3, 0, 1] });
  return trace.reshape(moved, [outChannels, 1, filterHeight, filterWidth]);
}

/** Padding of dy so that a convolution with the flipped filter gives the input's gradient. */
export function mirroredPads(info: ConvolutionInfo): number[] {
  const height = (info.filterHeight - 1) * info.dilationHeight;
  const width = (info.filterWidth - 1) * info.dilationWidth;
  const [top = 0, left = 0, bottom = 0, right = 0] = pads(info);
  return [height - top, width - left, height - bottom, width - right];
}

/** Rows and columns at the end of the input that no window reached. */
function outputPadding(info: ConvolutionInfo): number[] {
  const [top = 0, left = 0, bottom = 0, right = 0] = pads(info);
  const covered = (out: number, stride: number, filter: number, dilation: number) =>
    (out - 1) * stride + (filter - 1) * dilation + 1;
  return [
    info.inHeight +
      top +
      bottom -
      covered(info.outHeight, info.strideHeight, info.filterHeight, info.dilationHeight),
    info.inWidth +
      left +
      right -
      covered(info.outWidth, info.strideWidth, info.filterWidth, info.dilationWidth),
  ];
}
