import type { Sides } from "../../../algorithms/network.js";
import type { Window } from "../../network/index.js";
import { axisOf, rankOf, type Feature } from "../feature.js";
import type { OperatorReaders, Source } from "../importing.js";
import { withoutAxes } from "../views.js";
import { axesOf } from "./constants.js";
import { readWindow } from "../window.js";

/** Pools over windows and over whole images. */
export const pools: OperatorReaders = {
  MaxPool(source) {
    if ((source.node.output[1] ?? "") !== "") source.fail("gives indices, which is not supported");
    const x = source.image(0);
    const { size, stride, padding } = pooled(source, x);
    return source.importing.add(source.output, (name) => ({
      ...{ op: "maxPool", name, input: x.node },
      ...{ size, stride, padding },
    }));
  },
  AveragePool(source) {
    const x = source.image(0);
    const countsPadding = source.int("count_include_pad", 0) === 1;
    const { size, stride, padding, extended } = pooled(source, x);
    const whole = size[0] === x.shape[0] && size[1] === x.shape[1];
    if (whole && padding.every((side) => side === 0)) return mean(source, x);
    if (extended && countsPadding)
      source.fail("rounds its size up and counts padding, which is not supported");
    return source.importing.add(source.output, (name) => ({
      op: "float",
      name,
      inputs: [x.node],
      operation: { kind: "averagePool", size, stride, padding, countsPadding },
    }));
  },
  GlobalAveragePool(source) {
    const x = source.feature(0);
    const isRow = x.shape.length === 3 && rankOf(x) === 3 && axisOf(1, x) === 2;
    return mean(source, isRow ? x : source.image(0));
  },
  GlobalMaxPool(source) {
    const x = source.image(0);
    const [height = 1, width = 1] = x.shape;
    return source.importing.add(source.output, (name) => ({
      ...{ op: "maxPool", name, input: x.node },
      ...{ size: [height, width] as const, stride: 1, padding: [0, 0, 0, 0] as const },
    }));
  },
  ReduceMean: (source) => reduced(source, "mean"),
  ReduceSum: (source) => reduced(source, "sum"),
  ReduceMax: (source) => reduced(source, "max"),
};

function reduced(source: Source, by: "mean" | "sum" | "max"): Feature {
  const x = source.feature(0);
  const wanted = axesOf(source).map((axis) => axisOf(axis, x));
  if (wanted.length === 0 || wanted.includes(-1))
    source.fail("reduces over the batch; name the axes of an image");
  const axes = wanted.toSorted((a, b) => a - b);
  const isImage = x.shape.length === 3 && rankOf(x) === 4;
  const keeps = source.int("keepdims", 1) === 1;
  const result =
    by === "mean" && isImage && axes.join() === "0,1"
      ? mean(source, x)
      : source.importing.add(
          source.output,
          (name) => ({
            ...{ op: "float", name, inputs: [x.node] },
            operation: { kind: "reduce", by, axes },
          }),
          x,
        );
  return keeps ? result : withoutAxes(source, result, axes);
}

/** Over the whole image, which becomes one pixel. */
const mean = (source: Source, x: Feature): Feature =>
  source.importing.add(
    source.output,
    (name) => ({ op: "globalAveragePool", name, input: x.node, keepsAxes: true }),
    x,
  );

/** The window, with rows and columns added where sizes are rounded up. */
function pooled(source: Source, x: Feature): Window & { readonly extended: boolean } {
  const extent = [x.shape[0] ?? 1, x.shape[1] ?? 1] as const;
  const window = readWindow(source, extent);
  if (window.dilation.some((step) => step !== 1)) source.fail("is dilated, which is not supported");
  if (source.int("ceil_mode", 0) === 0) return { ...window, extended: false };
  const { size, stride, padding } = window;
  const added = ([0, 1] as const).map((axis) => {
    const [before, after] = [padding[axis], padding[axis + 2] ?? 0];
    const room = extent[axis] + before + after - size[axis];
    let results = Math.ceil(room / stride[axis]) + 1;
    // A window must begin in the image or the padding before it.
    if ((results - 1) * stride[axis] >= extent[axis] + before) results -= 1;
    return Math.max(0, (results - 1) * stride[axis] - room);
  });
  const [below = 0, beside = 0] = added;
  const sides: Sides = [padding[0], padding[1], padding[2] + below, padding[3] + beside];
  return { ...window, padding: sides, extended: below + beside > 0 };
}
