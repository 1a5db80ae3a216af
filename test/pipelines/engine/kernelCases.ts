import * as tf from "#tf";
import fc from "fast-check";
import { adderDistances, adderInputGradient } from "../../../pipelines/engine/index.js";

/**
 * Every kernel that steps may use, with its gradient, on every installed engine, compared with
 * tfjs's plain JavaScript backend over many shapes.
 */
export interface KernelCase {
  readonly name: string;
  /** Shapes of the inputs; the values are drawn by the test. */
  readonly shapes: fc.Arbitrary<readonly (readonly number[])[]>;
  /** Called with tensors of these shapes; must be differentiable unless `gradient` is false. */
  readonly compute: (...inputs: tf.Tensor[]) => tf.Tensor;
  readonly gradient?: false;
  /** Maps standard values into the function's domain, or away from its kinks. */
  readonly domain?: (value: number) => number;
}

const positive = (value: number) => Math.abs(value) + 0.25;
/** Away from integers and halves, where rounding and comparisons jump. */
const offGrid = (value: number) => Math.round(value * 4) / 4 + 0.11;

const anyShape = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });
const solidShape = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
const one = anyShape.map((shape) => [shape]);
const solid = solidShape.map((shape) => [shape]);
/** Two shapes that broadcast: trailing axes of a common shape, some of them 1. */
const broadcast = fc
  .tuple(anyShape, fc.nat(4), fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), fc.boolean())
  .map(([shape, drop, ones, swap]) => {
    const other = shape.slice(Math.min(drop, shape.length)).map((size, i) => (ones[i] ? 1 : size));
    return swap ? [other, shape] : [shape, other];
  });
/** Convolution, so that both layouts occur, then the operation under test. */
const image = fc
  .tuple(
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 5 }),
    fc.integer({ min: 1, max: 5 }),
    fc.integer({ min: 1, max: 4 }),
  )
  .map((shape) => [shape]);
const identityFilter = (channels: number) =>
  tf.reshape(tf.eye(channels), [1, 1, channels, channels]);
const throughConvolution = (x: tf.Tensor) =>
  tf.conv2d(x as tf.Tensor4D, identityFilter(x.shape[3] ?? 1) as tf.Tensor4D, 1, "valid");

const unary = (
  name: string,
  compute: KernelCase["compute"],
  domain?: KernelCase["domain"],
): KernelCase[] => [
  { name, shapes: one, compute, ...(domain && { domain }) },
  {
    name: `${name} of a convolution`,
    shapes: image,
    compute: (x) => compute(throughConvolution(x)),
    ...(domain && { domain }),
  },
];
const binary = (
  name: string,
  compute: KernelCase["compute"],
  domain?: KernelCase["domain"],
): KernelCase[] => [
  { name, shapes: solid.map(([shape = []]) => [shape, shape]), compute, ...(domain && { domain }) },
  // tfjs's own gradients fail where a tensor without elements is broadcast.
  {
    name: `${name}, broadcast`,
    shapes: broadcast,
    compute,
    gradient: false,
    ...(domain && { domain }),
  },
  ...[[4], [1], [3, 4], [1, 1, 1, 4], [2, 3, 3, 4], [2, 1, 1, 4], []].map((shape) => ({
    name: `${name} of a convolution and [${shape.join()}]`,
    shapes: fc.constant([[2, 3, 3, 4], shape]),
    compute: (a: tf.Tensor, b: tf.Tensor) => compute(throughConvolution(a), b),
    ...(domain && { domain }),
  })),
];
const axes = fc.subarray([0, 1, 2, 3]);
const reductions = (["sum", "mean", "max", "min", "prod"] as const).flatMap(
  (name): KernelCase[] => {
    const reduce = (x: tf.Tensor, axis?: number[], keepDims?: boolean) =>
      tf[name](x, axis, keepDims);
    // A tie has no one gradient, and an empty maximum none at all.
    const smooth = name === "sum" || name === "mean";
    const checked: Pick<KernelCase, "gradient"> = name === "prod" ? { gradient: false } : {};
    const entries: KernelCase[] = [
      { name, shapes: smooth ? one : solid, compute: (x) => reduce(x) },
      ...fc.sample(axes, { numRuns: 12, seed: 3 }).flatMap((axis): KernelCase[] =>
        axis.length === 0
          ? []
          : [false, true].map((keepDims) => ({
              name: `${name} of a convolution over ${axis.join()}${keepDims ? ", keeping them" : ""}`,
              shapes: image,
              compute: (x) => reduce(throughConvolution(x), axis, keepDims),
            })),
      ),
      {
        name: `${name} over the first axis`,
        shapes: fc.constant([[5, 3, 2]]),
        compute: (x) => reduce(x, [0]),
      },
      {
        name: `${name} over the last axis`,
        shapes: fc.constant([[5, 3]]),
        compute: (x) => reduce(x, [1], true),
      },
    ];
    return entries.map((entry) => ({ ...entry, ...checked }));
  },
);

const convolutions = (
  [
    { kernel: 3, stride: 1, pad: 1 },
    { kernel: 3, stride: 2, pad: 1 },
    { kernel: 1, stride: 1, pad: 0 },
    { kernel: 1, stride: 2, pad: 0 },
    { kernel: 5, stride: 1, pad: 2 },
    { kernel: 3, stride: 1, pad: 0 },
    { kernel: 2, stride: 2, pad: 0 },
    { kernel: 3, stride: 3, pad: 1 },
  ] as const
).flatMap(({ kernel, stride, pad }): KernelCase[] => {
  const padding: tf.backend_util.ExplicitPadding = [
    [0, 0],
    [pad, pad],
    [pad, pad],
    [0, 0],
  ];
  const size = fc.record({
    n: fc.integer({ min: 1, max: 3 }),
    h: fc.integer({ min: kernel, max: 9 }),
    w: fc.integer({ min: kernel, max: 9 }),
    i: fc.constantFrom(1, 2, 3, 17, 20),
    o: fc.constantFrom(1, 2, 5, 18),
  });
  const name = `${String(kernel)}x${String(kernel)}, stride ${String(stride)}, pad ${String(pad)}`;
  return [
    {
      name: `conv2d ${name}`,
      shapes: size.map(({ n, h, w, i, o }) => [
        [n, h, w, i],
        [kernel, kernel, i, o],
      ]),
      compute: (x, filter) => tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, stride, padding),
    },
    {
      name: `depthwiseConv2d ${name}`,
      shapes: size.map(({ n, h, w, i }) => [
        [n, h, w, i],
        [kernel, kernel, i, 1],
      ]),
      compute: (x, filter) =>
        tf.depthwiseConv2d(x as tf.Tensor4D, filter as tf.Tensor4D, stride, padding),
    },
  ];
});

const adders = [
  { kernel: 3, stride: 1, pad: 1 },
  { kernel: 3, stride: 2, pad: 1 },
  { kernel: 1, stride: 2, pad: 0 },
  { kernel: 2, stride: 3, pad: 1 },
].flatMap(({ kernel, stride, pad }): KernelCase[] => {
  const size = fc.record({
    n: fc.integer({ min: 1, max: 2 }),
    h: fc.integer({ min: kernel, max: 7 }),
    w: fc.integer({ min: kernel, max: 7 }),
    i: fc.constantFrom(1, 3, 8, 17),
    o: fc.constantFrom(1, 5, 8, 18),
  });
  const strides = [stride, stride] as const;
  const padded = (x: tf.Tensor) =>
    tf.pad(x, [
      [0, 0],
      [pad, pad],
      [pad, pad],
      [0, 0],
    ]);
  const shapes = size.map(({ n, h, w, i, o }) => [
    [n, h, w, i],
    [kernel, kernel, i, o],
  ]);
  const name = `${String(kernel)}x${String(kernel)}, stride ${String(stride)}, pad ${String(pad)}`;
  return [
    {
      ...{ name: `adder layer ${name}`, shapes, gradient: false },
      compute: (x, filter) => adderDistances(padded(x), filter, { strides }),
    },
    {
      ...{ name: `adder layer ${name}, gradient`, shapes, gradient: false },
      compute(x, filter) {
        const input = padded(x);
        const dy = tf.add(adderDistances(input, filter, { strides }), 0.5);
        return adderInputGradient({ x: input, filter, dy }, { strides });
      },
    },
  ];
});

export const kernelCases: readonly KernelCase[] = [
  ...adders,
  ...binary("add", tf.add),
  ...binary("sub", tf.sub),
  ...binary("mul", tf.mul),
  ...binary("div", tf.div, positive),
  ...[
    binary("maximum", tf.maximum),
    binary("minimum", tf.minimum),
    binary("squaredDifference", tf.squaredDifference),
  ]
    // tfjs's own gradients of these three do not broadcast.
    .flatMap((entries) =>
      entries.map((entry, i): KernelCase => (i === 0 ? entry : { ...entry, gradient: false })),
    ),
  ...binary("pow", tf.pow, positive),
  ...binary("floorDiv", (a, b) => tf.floorDiv(a, b), offGrid).map((c): KernelCase => ({
    ...c,
    gradient: false,
  })),
  ...(["greater", "greaterEqual", "less", "lessEqual", "equal", "notEqual"] as const).flatMap(
    (name) =>
      binary(
        name,
        (a, b) => tf.cast(tf[name](a, b), "float32"),
        (v) => Math.round(v),
      ).map((c): KernelCase => ({ ...c, gradient: false })),
  ),
  ...binary("logicalAnd/Or/Not", (a, b) => {
    const [p, q] = [tf.greater(a, 0), tf.greater(b, 0)];
    return tf.cast(
      tf.logicalOr(tf.logicalAnd(p, tf.logicalNot(q)), tf.logicalAnd(q, tf.logicalNot(p))),
      "float32",
    );
  }).map((c): KernelCase => ({ ...c, gradient: false })),
  ...unary("abs", tf.abs),
  ...unary("ceil", tf.ceil, offGrid),
  ...unary("cos", tf.cos),
  ...unary("erf", tf.erf),
  ...unary("exp", tf.exp),
  ...unary("expm1", tf.expm1),
  ...unary("floor", tf.floor, offGrid),
  ...unary("log", tf.log, positive),
  ...unary("log1p", tf.log1p, positive),
  ...unary("neg", tf.neg),
  ...unary("reciprocal", tf.reciprocal, positive),
  ...unary("relu", tf.relu),
  ...unary("relu6", (x) => tf.relu6(tf.mul(x, 5))),
  ...unary("round", (x) => tf.round(tf.mul(x, 3)), offGrid),
  ...unary(
    "round half to even",
    (x) => tf.round(x),
    (v) => Math.round(v * 4) / 2,
  ),
  ...unary("rsqrt", tf.rsqrt, positive),
  ...unary("sigmoid", tf.sigmoid),
  ...unary("sign", tf.sign),
  ...unary("sin", tf.sin),
  ...unary("softplus", tf.softplus),
  ...unary("sqrt", tf.sqrt, positive),
  ...unary("square", tf.square),
  ...unary("tanh", tf.tanh),
  ...unary("step", (x) => tf.step(x)),
  ...unary("clipByValue", (x) => tf.clipByValue(x, -0.5, 0.75)),
  ...unary(
    "cast through int32",
    (x) => tf.cast(tf.cast(tf.mul(x, 3), "int32"), "float32"),
    offGrid,
  ).map((c): KernelCase => ({ ...c, gradient: false })),
  ...unary("zerosLike and onesLike", (x) => tf.add(tf.zerosLike(x), tf.onesLike(x))),
  ...unary("where", (x) =>
    tf.where(
      tf.tensor(
        values(x.size, 5).map((v) => v > 0),
        x.shape,
        "bool",
      ),
      tf.mul(x, 2),
      tf.mul(x, -3),
    ),
  ),
  ...unary("leakyRelu by hand", (x) => tf.maximum(x, tf.mul(x, 0.1))),
  ...reductions,
  {
    name: "all and any",
    shapes: solid,
    gradient: false,
    compute: (x) =>
      tf.add(
        tf.cast(tf.all(tf.greater(x, -1), 0, true), "float32"),
        tf.cast(tf.any(tf.greater(x, 1), 0, true), "float32"),
      ),
  },
  {
    name: "argMax",
    shapes: fc.constant([[4, 5]]),
    gradient: false,
    compute: (x) => tf.cast(tf.argMax(x, 1), "float32"),
  },
  {
    name: "argMin",
    shapes: fc.constant([[4, 5]]),
    gradient: false,
    compute: (x) => tf.cast(tf.argMin(x, 1), "float32"),
  },
  { name: "softmax", shapes: fc.constant([[3, 5]]), compute: (x) => tf.softmax(x) },
  { name: "logSoftmax", shapes: fc.constant([[3, 5]]), compute: (x) => tf.logSoftmax(x) },
  { name: "cumsum", shapes: fc.constant([[3, 5]]), compute: (x) => tf.cumsum(x, 1) },
  { name: "reshape", shapes: one, compute: (x) => tf.reshape(x, [x.size]) },
  {
    name: "reshape of a convolution",
    shapes: image,
    compute: (x) => tf.reshape(throughConvolution(x), [-1]),
  },
  {
    name: "expandDims and squeeze",
    shapes: solid,
    compute: (x) => tf.squeeze(tf.expandDims(x, -1), [x.rank]),
  },
  { name: "transpose", shapes: solid, compute: (x) => tf.transpose(x) },
  {
    name: "transpose of a convolution",
    shapes: image,
    compute: (x) => tf.transpose(throughConvolution(x), [2, 0, 3, 1]),
  },
  { name: "tile", shapes: fc.constant([[2, 3]]), compute: (x) => tf.tile(x, [3, 2]) },
  {
    name: "broadcastTo",
    shapes: fc.constant([[2, 1, 3]]),
    compute: (x) => tf.broadcastTo(x, [4, 2, 5, 3]),
  },
  {
    name: "slice",
    shapes: fc.constant([[4, 5, 6]]),
    compute: (x) => tf.slice(x, [1, 0, 2], [2, 5, -1]),
  },
  {
    name: "slice to nothing",
    shapes: fc.constant([[4, 5]]),
    compute: (x) => tf.slice(x, [1, 0], [0, 5]),
  },
  { name: "reverse", shapes: solid, compute: (x) => tf.reverse(x) },
  {
    name: "concat",
    shapes: fc.constant([
      [2, 3],
      [4, 3],
    ]),
    compute: (a, b) => tf.concat([a, b], 0),
  },
  {
    name: "concat of convolutions",
    shapes: fc.constant([
      [2, 3, 3, 4],
      [2, 3, 3, 2],
    ]),
    compute: (a, b) => tf.concat([throughConvolution(a), throughConvolution(b)], 3),
  },
  {
    name: "stack and unstack",
    shapes: fc.constant([
      [2, 3],
      [2, 3],
    ]),
    compute: (a, b) => tf.stack(tf.unstack(tf.stack([a, b], 1), 0), 2),
  },
  {
    name: "split",
    shapes: fc.constant([[4, 6]]),
    compute: (x) => tf.add(...(tf.split(x, 2, 1) as [tf.Tensor, tf.Tensor])),
  },
  {
    name: "pad",
    shapes: fc.constant([[2, 3]]),
    compute: (x) =>
      tf.pad(
        x,
        [
          [1, 2],
          [0, 1],
        ],
        0.5,
      ),
  },
  {
    name: "gather",
    shapes: fc.constant([[4, 3]]),
    gradient: false,
    compute: (x) => tf.gather(x, tf.tensor1d([3, 0, 0], "int32")),
  },
  ...([[], [0.5, 2, -1, 4, 8, 3]] as const).map((weights): KernelCase => ({
    name: `counts of integers${weights.length > 0 ? ", weighed" : ""}, those beyond the last ignored`,
    shapes: fc.constant([[6]]),
    gradient: false,
    domain: (value) => Math.abs(Math.round(value * 3)),
    compute: (x) => {
      const weighed = tf.tensor1d([...weights], weights.length > 0 ? "float32" : "int32");
      return tf.bincount(tf.cast(x as tf.Tensor1D, "int32"), weighed, 4);
    },
  })),
  {
    name: "gather from a vector at a matrix of indices",
    shapes: fc.constant([[5]]),
    gradient: false,
    compute: (x) =>
      tf.gather(
        x,
        tf.tensor2d(
          [
            [4, 0, 0],
            [2, 1, 3],
          ],
          undefined,
          "int32",
        ),
      ),
  },
  {
    name: "oneHot",
    shapes: fc.constant([[4, 3]]),
    gradient: false,
    compute: (x) => tf.cast(tf.oneHot(tf.argMax<tf.Tensor1D>(x, 1), 3), "float32"),
  },
  {
    name: "fill and range",
    shapes: fc.constant([[3]]),
    compute: (x) => tf.mul(tf.add(x, tf.fill([3], 2)), tf.range(0, 3)),
  },
  ...(
    [
      [false, false],
      [false, true],
      [true, false],
      [true, true],
    ] as const
  ).flatMap(([ta, tb]): KernelCase[] => [
    {
      name: `matMul ${String(ta)} ${String(tb)}`,
      shapes: fc.constant([ta ? [4, 3] : [3, 4], tb ? [5, 4] : [4, 5]]),
      compute: (a, b) => tf.matMul(a, b, ta, tb),
    },
    {
      name: `batched matMul ${String(ta)} ${String(tb)}`,
      shapes: fc.constant([
        [2, ...(ta ? [4, 3] : [3, 4])],
        [2, ...(tb ? [5, 4] : [4, 5])],
      ]),
      compute: (a, b) => tf.matMul(a, b, ta, tb),
    },
  ]),
  {
    name: "matMul without inner elements",
    shapes: fc.constant([
      [3, 0],
      [0, 2],
    ]),
    compute: (a, b) => tf.matMul(a, b),
  },
  ...convolutions,
];

/** Deterministic values in [-2, 2), distinct enough that maxima have no ties. */
export function values(size: number, seed: number): number[] {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  return Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32) * 4 - 2;
  });
}
