import { transposed } from "../arrays.js";
import { addConstant } from "../combining.js";
import { axisOf, rankOf, sizesOf, type Feature, type View } from "../feature.js";
import type { OperatorReaders, Source } from "../importing.js";
import type { Constant } from "../tensor.js";
import { described } from "../views.js";

/** Dense layers, and products of what is computed. */
export const products: OperatorReaders = {
  Gemm: readGemm,
  MatMul(source) {
    const [a, b] = [source.operand(0), source.operand(1)];
    if (a.kind === "feature" && b.kind === "feature") return product(source, a, b);
    if (a.kind === "constant") {
      // (A B) = (B^T A^T)^T: the constant on the right.
      const x = source.feature(1);
      if (a.constant.shape.length !== 2) source.fail("multiplies by a constant that is no matrix");
      const turned = dense(source, lastTwoTurned(x), transposed(a.constant, [1, 0]));
      return lastTwoTurned(turned);
    }
    return dense(source, source.feature(0), source.constant(1));
  },
};

const lastTwoTurned = (x: Feature): Feature => {
  const [last = 0, before = 0, ...rest] = x.axes.toReversed();
  return { ...x, axes: [...rest.toReversed(), last, before] };
};

/** Matrices of the last two axes. */
function product(source: Source, a: Feature, b: Feature): Feature {
  if (rankOf(a) !== rankOf(b) || rankOf(a) < 3)
    source.fail(`multiplies ${described(a)} by ${described(b)}`);
  const [left, right] = [source.importing.ordered(a), source.importing.ordered(b)];
  return source.importing.add(
    source.output,
    (name) => ({
      ...{ op: "float", name, inputs: [left.node, right.node] },
      operation: { kind: "matMul" },
    }),
    left,
  );
}

function readGemm(source: Source): Feature {
  const alpha = source.float("alpha", 1);
  const beta = source.float("beta", 1);
  if (source.int("transA", 0) !== 0) source.fail("transposes its input, which is not supported");
  const given = source.constant(1);
  const matrix = source.int("transB", 0) !== 0 ? transposed(given, [1, 0]) : given;
  const bias = source.optionalConstant(2);
  return dense(source, source.feature(0), scaled(matrix, alpha), bias && scaled(bias, beta));
}

const scaled = (constant: Constant, factor: number): Constant =>
  factor === 1
    ? constant
    : { ...constant, data: Float32Array.from(constant.data, (value) => value * factor) };

/**
 * The last axis times a matrix: a dense layer, or for each of several vectors the same, which is a
 * convolution of one pixel.
 *
 * @param matrix [inputs, units]
 */
function dense(source: Source, x: Feature, matrix: Constant, bias?: Constant): Feature {
  const { importing } = source;
  const [inputs = 1, units = 1] = matrix.shape;
  const sizes = sizesOf(x);
  if (matrix.shape.length !== 2 || sizes.at(-1) !== inputs)
    source.fail(`multiplies ${described(x)} by a constant of [${matrix.shape.join()}]`);
  if (rankOf(x) === 2 && x.axes.length === 1) {
    const features = x.shape.length === 1 ? x : importing.ordered(x);
    const feature = importing.add(source.output, (name) => ({
      ...{ op: "dense", name, input: features.node, units },
    }));
    importing.setParameter(`${feature.node}/kernel`, [inputs, units], matrix.data);
    const values = Float32Array.from(
      { length: units },
      (_, i) => bias?.data[bias.data.length === 1 ? 0 : i] ?? 0,
    );
    importing.setParameter(`${feature.node}/bias`, [units], values);
    return feature;
  }
  const placed = axisOf(-1, x) === x.shape.length - 1 ? x : importing.ordered(x);
  const feature = perPixel(source, placed, matrix);
  return bias === undefined ? feature : addConstant(source, feature, bias, true);
}

function perPixel(source: Source, x: Feature, { shape, data }: Constant): Feature {
  const { importing } = source;
  const [inputs = 1, units = 1] = shape;
  const before = x.shape.slice(0, -1);
  const row: View = { axes: [1, 2] };
  const pixels = before.reduce((a, b) => a * b, 1);
  const inOrder = (rank: number) => Array.from({ length: rank }, (_, axis) => axis);
  const image =
    x.shape.length === 3
      ? x
      : importing.rearranged(`${x.node}.row`, x, {
          order: inOrder(x.shape.length),
          shape: [1, pixels, inputs],
          view: row,
        });
  const feature = importing.add(
    source.output,
    (name) => ({
      ...{ op: "conv2d", name, input: image.node, filters: units },
      ...{ kernelSize: 1, stride: 1, depthwise: false },
    }),
    image,
  );
  importing.setParameter(`${feature.node}/kernel`, [1, 1, inputs, units], data);
  if (x.shape.length === 3) return feature;
  return importing.rearranged(`${source.output}.array`, feature, {
    order: inOrder(3),
    shape: [...before, units],
    view: x,
  });
}
