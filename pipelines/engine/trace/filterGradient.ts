import type * as tf from "#tf";
import type { ConvolutionInfo } from "./convolutionInfo.js";
import type { TraceBackend } from "./traceBackend.js";

type Info = tf.TensorInfo;

/**
 * Gradient of a convolution to its filter as one matrix product over all pixels: every window of
 * the input becomes a row ("im2col", one Gather over precomputed positions) and meets the row of
 * dy at the same pixel. The one form that serves every stride, padding and dilation.
 *
 * @returns the name of a value of shape [kh, kw, inChannels, outChannels]
 */
export function filterGradientByColumns(
  trace: TraceBackend,
  x: Info,
  dy: Info,
  info: ConvolutionInfo,
): string {
  const { batchSize, outHeight, outWidth, filterHeight, filterWidth, inChannels, outChannels } =
    info;
  const pixels = batchSize * outHeight * outWidth;
  const columns = trace.reshape(windows(trace, x, info), [
    pixels,
    filterHeight * filterWidth * inChannels,
  ]);
  const gradient = trace.reshape(trace.plain(dy), [pixels, outChannels]);
  const product = trace.graph.add("Gemm", [columns, gradient], { transA: 1 });
  return trace.reshape(product, [filterHeight, filterWidth, inChannels, outChannels]);
}

function windows(trace: TraceBackend, x: Info, info: ConvolutionInfo): string {
  const { batchSize, inHeight, inWidth, inChannels, padInfo } = info;
  const source = trace.plain(x);
  const pixels = inHeight * inWidth;
  const pointwise = info.filterHeight === 1 && info.filterWidth === 1;
  if (pointwise && info.strideHeight === 1 && info.strideWidth === 1 && padInfo.top === 0) {
    return source;
  }
  // One row of zeros behind each image stands for every position in the padding.
  const padded = trace.graph.add("Pad", [
    trace.reshape(source, [batchSize, pixels, inChannels]),
    trace.graph.integers([0, 0, 0, 0, 1, 0]),
    trace.graph.scalar(0),
  ]);
  const positions: number[] = [];
  for (let row = 0; row < info.outHeight; row++) {
    for (let column = 0; column < info.outWidth; column++) {
      for (let tapRow = 0; tapRow < info.filterHeight; tapRow++) {
        for (let tapColumn = 0; tapColumn < info.filterWidth; tapColumn++) {
          const y = row * info.strideHeight + tapRow * info.dilationHeight - padInfo.top;
          const z = column * info.strideWidth + tapColumn * info.dilationWidth - padInfo.left;
          const inside = y >= 0 && z >= 0 && y < inHeight && z < inWidth;
          positions.push(inside ? y * inWidth + z : pixels);
        }
      }
    }
  }
  return trace.graph.add("Gather", [padded, trace.graph.integers(positions)], { axis: 1 });
}

/**
 * The same gradient for stride 1, moving less memory where channels are few: x shifted by each
 * column of the filter meets dy shifted by each row, kw + kh copies instead of kw * kh.
 */
export function filterGradientByShifts(
  trace: TraceBackend,
  x: Info,
  dy: Info,
  info: ConvolutionInfo,
): string {
  const { batchSize: n, inHeight, outWidth, inChannels, outChannels } = info;
  const { filterHeight, filterWidth, padInfo } = info;
  const shift = (name: string, axis: number, begin: number, size: number) =>
    trace.graph.add("Slice", [
      name,
      ...[[begin], [begin + size], [axis]].map((values) => trace.graph.integers(values)),
    ]);
  const pad = (name: string, [top, left, bottom, right]: readonly number[]) =>
    trace.graph.add("Pad", [
      name,
      trace.graph.integers([0, 0, top ?? 0, left ?? 0, 0, 0, bottom ?? 0, right ?? 0]),
      trace.graph.scalar(0),
    ]);

  // Tap (i, j) sums x[h, w + j - left] * dy[h - i + top, w] over the rows h of x.
  const wide = pad(trace.in("channelsFirst", x), [0, padInfo.left, 0, padInfo.right]);
  const shiftedX = Array.from({ length: filterWidth }, (_, j) =>
    trace.reshape(shift(wide, 3, j * info.dilationWidth, outWidth), [
      n,
      inChannels,
      inHeight * outWidth,
    ]),
  );
  const reach = (filterHeight - 1) * info.dilationHeight;
  const tall = pad(trace.in("channelsFirst", dy), [reach, 0, reach, 0]);
  const shiftedDy = Array.from({ length: filterHeight }, (_, i) => {
    const begin = reach + padInfo.top - i * info.dilationHeight;
    return trace.reshape(shift(tall, 2, begin, inHeight), [n, outChannels, inHeight * outWidth]);
  });
  const perImage = trace.graph.add(
    "com.microsoft:FusedMatMul",
    [
      trace.graph.add("Concat", shiftedDy, { axis: 1 }),
      trace.graph.add("Concat", shiftedX, { axis: 1 }),
    ],
    { transB: 1 },
  );
  const ones = trace.graph.constant("float32", [1, n], new Float32Array(n).fill(1));
  const size = filterHeight * outChannels * filterWidth * inChannels;
  const summed = trace.graph.add("MatMul", [ones, trace.reshape(perImage, [n, size])]);
  const taps = trace.reshape(summed, [filterHeight, outChannels, filterWidth, inChannels]);
  return trace.graph.add("Transpose", [taps], { perm: [0, 2, 3, 1] });
}
