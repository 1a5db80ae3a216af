import { sizeOf } from "../../engine/index.js";
import { BATCH_NORM_EPSILON } from "../../network/index.js";
import type { ConvNode, Sides } from "../../../algorithms/network.js";
import type { Feature, OperatorReaders, Source } from "../importing.js";
import { readWindow } from "../window.js";

/** Convolutions, dense layers and batch norms: what has weights. */
export const layers: OperatorReaders = {
  Conv: readConvolution,
  ConvTranspose: readTransposed,
  BatchNormalization: readBatchNorm,
  Gemm: readGemm,
  MatMul(source) {
    const { shape, data } = source.constant(1);
    return dense(source, source.feature(0), { shape, data, transposed: false });
  },
};

function readConvolution(source: Source): Feature {
  const x = source.image(0);
  const { importing } = source;
  const { shape, data } = source.constant(1);
  const [filters = 1, perGroup = 1, rows = 1, columns = 1] = shape;
  const channels = x.shape[2] ?? 1;
  const groups = source.int("group", 1);
  if (shape.length !== 4)
    source.fail(`has weights of [${shape.join()}]; only 2-D convolutions are supported`);
  if (perGroup * groups !== channels)
    source.fail(
      `has weights for ${String(perGroup * groups)} channels and reads ${String(channels)}`,
    );
  const window = readWindow(source, [x.shape[0] ?? 1, x.shape[1] ?? 1], [rows, columns]);
  const { input, padding } = withPadding(source, x, window.padding);
  const depthwise = groups === channels && filters === channels && groups > 1;
  const node = {
    op: "conv2d",
    input,
    filters,
    ...plainWindow({ ...window, padding }),
    depthwise,
    ...(groups > 1 && !depthwise && { groups }),
    ...(source.has(2) && { bias: true }),
  } as const satisfies Omit<ConvNode, "name">;
  const feature = importing.add(source.output, (name) => ({ name, ...node }));
  const kernel = new Float32Array(data.length); // [rows, columns, channels of a group, filters]
  const [height, width] = [rows, columns];
  for (let filter = 0; filter < filters; filter++)
    for (let channel = 0; channel < perGroup; channel++)
      for (let row = 0; row < height; row++)
        for (let column = 0; column < width; column++)
          kernel[((row * width + column) * perGroup + channel) * filters + filter] =
            data[((filter * perGroup + channel) * height + row) * width + column] ?? 0;
  const kernelShape = depthwise ? [rows, columns, filters, 1] : [rows, columns, perGroup, filters];
  importing.setParameter(`${feature.node}/kernel`, kernelShape, kernel);
  if (source.has(2))
    importing.setParameter(`${feature.node}/bias`, [filters], source.constant(2).data);
  return feature;
}

/** Zeros that a node before puts around the image become the convolution's own. */
function withPadding(
  source: Source,
  x: Feature,
  padding: Sides,
): { input: string; padding: Sides } {
  const { importing } = source;
  const producer = importing.find(x.node);
  if (
    producer?.op !== "float" ||
    producer.operation.kind !== "pad" ||
    producer.operation.value !== 0 ||
    !importing.isReadOnce(source.node.input[0] ?? "")
  )
    return { input: x.node, padding };
  const [top, left, bottom, right] = producer.operation.padding;
  importing.remove(producer.name);
  return {
    input: producer.inputs[0] ?? "",
    padding: [padding[0] + top, padding[1] + left, padding[2] + bottom, padding[3] + right],
  };
}

type PlainWindow = Pick<ConvNode, "kernelSize" | "stride" | "padding" | "dilation">;

/** As built-in networks write it, where the window is as simple as theirs. */
function plainWindow(window: ReturnType<typeof readWindow>): PlainWindow {
  const single = ([a, b]: readonly [number, number]) => (a === b ? a : ([a, b] as const));
  const [rows, columns] = window.size;
  const centered =
    rows === columns && rows % 2 === 1 && window.padding.every((side) => side === (rows - 1) / 2);
  const dilated = window.dilation.some((step) => step > 1);
  return {
    kernelSize: single(window.size),
    stride: single(window.stride),
    ...((!centered || dilated) && { padding: window.padding }),
    ...(dilated && { dilation: single(window.dilation) }),
  };
}

function readTransposed(source: Source): Feature {
  const x = source.image(0);
  const { importing } = source;
  const { shape, data } = source.constant(1);
  const [channels = 1, perGroup = 1, rows = 1, columns = 1] = shape;
  const groups = source.int("group", 1);
  const filters = perGroup * groups;
  if (shape.length !== 4)
    source.fail(`has weights of [${shape.join()}]; only 2-D convolutions are supported`);
  if (channels !== x.shape[2] || groups < 1 || channels % groups !== 0)
    source.fail(
      `has weights for ${String(channels)} channels in ${String(groups)} groups and reads ${String(x.shape[2])}`,
    );
  if ((source.ints("dilations") ?? []).some((step) => step !== 1))
    source.fail("is dilated, which is not supported");
  if (source.ints("output_shape") !== undefined || source.text("auto_pad", "NOTSET") !== "NOTSET")
    source.fail("must have explicit pads");
  const [top = 0, left = 0, bottom = 0, right = 0] = source.ints("pads") ?? [];
  const [down = 1, across = 1] = source.ints("strides") ?? [];
  const [below = 0, beside = 0] = source.ints("output_padding") ?? [];
  const feature = importing.add(source.output, (name) => ({
    op: "float",
    name,
    inputs: [x.node],
    operation: {
      kind: "convTranspose",
      filters,
      size: [rows, columns],
      stride: [down, across],
      padding: [top, left, bottom, right],
      outputPadding: [below, beside],
      groups,
    },
  }));
  const kernel = new Float32Array(data.length); // [rows, columns, filters of a group, channels]
  for (let i = 0; i < data.length; i++) {
    const [column, row] = [i % columns, Math.floor(i / columns) % rows];
    const filter = Math.floor(i / (rows * columns)) % perGroup;
    const channel = Math.floor(i / (rows * columns * perGroup));
    kernel[((row * columns + column) * perGroup + filter) * channels + channel] = data[i] ?? 0;
  }
  importing.setParameter(`${feature.node}/kernel`, [rows, columns, perGroup, channels], kernel);
  importing.setParameter(
    `${feature.node}/bias`,
    [filters],
    source.optionalConstant(2)?.data ?? new Float32Array(filters),
  );
  return feature;
}

function readBatchNorm(source: Source): Feature {
  const { importing } = source;
  const x = source.feature(0);
  if (source.int("training_mode", 0) !== 0)
    source.fail("is in training mode; export for inference");
  if (x.channelsLast) source.fail("normalizes an image with channels last");
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((i) =>
    Float32Array.from(source.constant(i).data),
  ) as [Float32Array, Float32Array, Float32Array, Float32Array];
  // Networks here have one epsilon; another one becomes part of the variance.
  const epsilon = source.float("epsilon", BATCH_NORM_EPSILON);
  const adjusted = variance.map((value) => value + (epsilon - BATCH_NORM_EPSILON));
  const producer = importing.find(x.node);
  const foldable = producer?.op === "conv2d" && importing.isReadOnce(source.node.input[0] ?? "");
  if (foldable && producer.bias) {
    // A bias before a batch norm only moves the mean; the convolution is then like built-in ones.
    const bias = importing.parameterData(`${producer.name}/bias`);
    bias.forEach((value, channel) => {
      mean[channel] = (mean[channel] ?? 0) - value;
    });
    Reflect.deleteProperty(importing.parameters, `${producer.name}/bias`);
    importing.replace({ ...producer, bias: false });
  }
  const feature = importing.add(source.output, (name) => ({
    op: "batchNorm",
    name,
    input: x.node,
  }));
  const entries = { gamma, beta, mean, variance: adjusted };
  for (const [key, values] of Object.entries(entries))
    importing.setParameter(`${feature.node}/${key}`, [x.shape.at(-1) ?? 1], values);
  return feature;
}

function readGemm(source: Source): Feature {
  const { shape, data } = source.constant(1);
  const alpha = source.float("alpha", 1);
  const beta = source.float("beta", 1);
  if (source.int("transA", 0) !== 0) source.fail("transposes its input, which is not supported");
  const bias = source.optionalConstant(2);
  return dense(source, source.feature(0), {
    shape,
    data: Float32Array.from(data, (value) => value * alpha),
    transposed: source.int("transB", 0) !== 0,
    ...(bias && { bias: Float32Array.from(bias.data, (value) => value * beta) }),
  });
}

interface DenseWeights {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
  /** [units, inputs] instead of [inputs, units] */
  readonly transposed: boolean;
  readonly bias?: Float32Array;
}

function dense(source: Source, x: Feature, weights: DenseWeights): Feature {
  const { importing } = source;
  const { shape, data, transposed, bias } = weights;
  if (shape.length !== 2 || x.shape.length !== 1)
    source.fail(
      `multiplies [${x.shape.join()}] by a constant of [${shape.join()}]; only features times a matrix are supported`,
    );
  const [inputs = 1, units = 1] = transposed ? shape.toReversed() : shape;
  if (inputs !== x.shape[0])
    source.fail(`has weights for ${String(inputs)} features and reads ${String(x.shape[0])}`);
  const kernel = transposed
    ? Float32Array.from(
        { length: sizeOf(shape) },
        (_, i) => data[(i % units) * inputs + Math.floor(i / units)] ?? 0,
      )
    : data;
  const feature = importing.add(source.output, (name) => ({
    op: "dense",
    name,
    input: x.node,
    units,
  }));
  importing.setParameter(`${feature.node}/kernel`, [inputs, units], kernel);
  importing.setParameter(
    `${feature.node}/bias`,
    [units],
    Float32Array.from({ length: units }, (_, i) => bias?.[bias.length === 1 ? 0 : i] ?? 0),
  );
  return feature;
}
