import type * as tf from "#tf";
import {
  ADDER,
  ADDER_INPUT_GRADIENT,
  adderSizes,
  type AdderAttributes,
  type AdderSizes,
} from "../adderLayer.js";
import { sliceAxis } from "./shapes.js";
import { lower, type TraceBackend } from "./traceBackend.js";

// Graphs have no operator of distances: each tap is a difference of all pixels, channels and filters, which takes
// memory and time. Engines with kernels of their own do not look at what is recorded here.

type Info = tf.TensorInfo;

interface Tap {
  readonly row: number;
  readonly column: number;
  /** [count, outHeight, outWidth, channels, 1] */
  readonly x: string;
  /** [channels, filters] */
  readonly filter: string;
}

function tapsOf(
  trace: TraceBackend,
  { x, filter }: { readonly x: Info; readonly filter: Info },
  { strides }: AdderAttributes,
): Tap[] {
  const { count, channels, rows, columns, filters, outHeight, outWidth } = adderSizes(x, filter, {
    strides,
  });
  return Array.from({ length: rows * columns }, (_, tap) => {
    const [row, column] = [Math.floor(tap / columns), tap % columns];
    const lines = sliceAxis(trace, trace.plain(x), {
      ...{ axis: 1, begin: row, size: outHeight, step: strides[0] },
    });
    const pixels = sliceAxis(trace, lines, {
      ...{ axis: 2, begin: column, size: outWidth, step: strides[1] },
    });
    const weights = trace.reshape(trace.plain(filter), [rows * columns, channels, filters]);
    const own = sliceAxis(trace, weights, { axis: 0, begin: tap, size: 1 });
    return {
      ...{ row, column },
      x: trace.reshape(pixels, [count, outHeight, outWidth, channels, 1]),
      filter: trace.reshape(own, [channels, filters]),
    };
  });
}

const sum = (trace: TraceBackend, parts: readonly string[]): string =>
  parts.length === 1 ? (parts[0] ?? "") : trace.graph.add("Sum", parts);

lower<{ x: Info; filter: Info }, AdderAttributes>(ADDER, ({ x, filter }, attributes, trace) => {
  const { count, outHeight, outWidth, filters } = adderSizes(x, filter, attributes);
  const distances = tapsOf(trace, { x, filter }, attributes).map((tap) => {
    const difference = trace.graph.add("Abs", [trace.graph.add("Sub", [tap.x, tap.filter])]);
    const axes = trace.graph.integers([3]);
    return trace.graph.add("ReduceSum", [difference, axes], { keepdims: 0 });
  });
  const y = trace.graph.add("Neg", [sum(trace, distances)]);
  return trace.result(y, [count, outHeight, outWidth, filters], "float32");
});

lower<{ x: Info; filter: Info; dy: Info }, AdderAttributes>(
  ADDER_INPUT_GRADIENT,
  ({ x, filter, dy }, attributes, trace) => {
    const sizes = adderSizes(x, filter, attributes);
    const { count, outHeight, outWidth, filters } = sizes;
    const shape = [count, outHeight, outWidth, 1, filters];
    const gradient = trace.reshape(trace.plain(dy), shape);
    const parts = tapsOf(trace, { x, filter }, attributes).map((tap) => {
      const limits = [-1, 1].map((limit) => trace.graph.scalar(limit));
      const difference = trace.graph.add("Sub", [tap.filter, tap.x]);
      const clipped = trace.graph.add("Clip", [difference, ...limits]);
      const product = trace.graph.add("Mul", [gradient, clipped]);
      const axes = trace.graph.integers([4]);
      const summed = trace.graph.add("ReduceSum", [product, axes], { keepdims: 0 });
      return spread(trace, summed, { tap, sizes, strides: attributes.strides });
    });
    return trace.result(sum(trace, parts), x.shape, "float32");
  },
);

/** Puts [count, outHeight, outWidth, channels] where a tap's windows read, zeros elsewhere. */
function spread(
  trace: TraceBackend,
  values: string,
  {
    tap: { row, column },
    sizes: { count, height, width, channels, outHeight, outWidth },
    strides: [down, right],
  }: {
    readonly tap: Tap;
    readonly sizes: AdderSizes;
    readonly strides: readonly [number, number];
  },
): string {
  const pad = (name: string, before: readonly number[], after: readonly number[]) =>
    trace.graph.add("Pad", [
      name,
      trace.graph.integers([...before, ...after]),
      trace.graph.scalar(0),
    ]);
  const apart = pad(
    trace.reshape(values, [count, outHeight, 1, outWidth, 1, channels]),
    [0, 0, 0, 0, 0, 0],
    [0, 0, down - 1, 0, right - 1, 0],
  );
  const all = trace.reshape(apart, [count, outHeight * down, outWidth * right, channels]);
  const [rows, columns] = [
    Math.min(outHeight * down, height - row),
    Math.min(outWidth * right, width - column),
  ];
  const inRows = sliceAxis(trace, all, { axis: 1, begin: 0, size: rows });
  const inside = sliceAxis(trace, inRows, { axis: 2, begin: 0, size: columns });
  return pad(inside, [0, row, column, 0], [0, height - row - rows, width - column - columns, 0]);
}
