import { BATCH_NORM_EPSILON } from "../../network/index.js";
import type { ConvNode, Sides } from "../../../algorithms/network.js";
import {
  axisOf,
  batchesOf,
  CHANNELS_FIRST,
  dimensionsOf,
  unnamedAxes,
  type Feature,
} from "../feature.js";
import type { OperatorReaders, Source } from "../importing.js";
import { transposed } from "../arrays.js";
import type { Constant } from "../tensor.js";
import { described } from "../views.js";
import { readWindow } from "../window.js";

/** Convolutions, dense layers and batch norms: what has weights. */
export const layers: OperatorReaders = {
  Conv: readConvolution,
  ConvTranspose: readTransposed,
  BatchNormalization: readBatchNorm,
};

function readConvolution(source: Source): Feature {
  const bias = source.has(2) ? source.constant(2).data : undefined;
  const filters = { ...source.constant(1), bias, groups: source.int("group", 1) };
  const given = source.feature(0);
  return given.folded === undefined
    ? convolved(source, source.image(0), filters)
    : convolvedWindows(source, given, filters);
}

interface Filters extends Constant {
  readonly bias: ArrayLike<number> | undefined;
  readonly groups: number;
}

function convolved(source: Source, x: Feature, { shape, data, bias, groups }: Filters): Feature {
  const { importing } = source;
  const [filters = 1, perGroup = 1, rows = 1, columns = 1] = shape;
  const channels = x.shape[2] ?? 1;
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
    ...(bias && { bias: true }),
  } as const satisfies Omit<ConvNode, "name">;
  const feature = importing.add(source.output, (name) => ({ name, ...node }));
  // [rows, columns, channels of a group, filters]
  const kernel = transposed({ shape, data }, [2, 3, 1, 0]).data;
  const kernelShape = depthwise ? [rows, columns, filters, 1] : [rows, columns, perGroup, filters];
  importing.setParameter(`${feature.node}/kernel`, kernelShape, kernel);
  if (bias) importing.setParameter(`${feature.node}/bias`, [filters], bias);
  return feature;
}

/**
 * Windows of an image, which are one with the batch in the ONNX graph: filters of one pixel convolve all windows' pixels in one
 * row, larger ones windows side by side as groups of channels, so that none sees its neighbor.
 */
function convolvedWindows(source: Source, x: Feature, filters: Filters): Feature {
  const { importing } = source;
  const [channels = 1, height = 1, width = 1, ...others] = dimensionsOf(x);
  const windows = batchesOf(x);
  const [count = 1, perGroup = 1, ...size] = filters.shape;
  if (others.length > 0 || filters.shape.length !== 4)
    source.fail(`convolves ${described(x)} with weights of [${filters.shape.join()}]`);
  const axes = x.axes.slice(x.folded ?? 0);
  const [channel = 0, row = 0, column = 0] = axes;
  const before = [...unnamedAxes(x), ...x.axes.slice(0, x.folded ?? 0)];
  const single =
    size.every((one) => one === 1) && (source.ints("strides") ?? []).every((by) => by === 1);
  if (single && filters.groups === 1 && (source.ints("pads") ?? []).every((pad) => pad === 0)) {
    const pixels = importing.rearranged(`${source.output}.pixels`, x, {
      order: [...before, row, column, channel],
      shape: [1, windows * height * width, channels],
      view: CHANNELS_FIRST,
    });
    return importing.rearranged(`${source.output}.windows`, convolved(source, pixels, filters), {
      order: [0, 1, 2],
      shape: [windows, height, width, count],
      view: { axes: [0, 3, 1, 2], folded: 1 },
    });
  }
  const image = importing.rearranged(`${source.output}.windows`, x, {
    order: [row, column, ...before, channel],
    shape: [height, width, windows * channels],
    view: CHANNELS_FIRST,
  });
  const repeated = <T>(values: ArrayLike<T>): T[] =>
    Array.from({ length: windows }, () => Array.from(values)).flat();
  const result = convolved(source, image, {
    shape: [windows * count, perGroup, ...size],
    data: repeated(filters.data),
    bias: filters.bias && repeated(filters.bias),
    groups: windows * filters.groups,
  });
  const [rows = 1, columns = 1] = result.shape;
  return importing.rearranged(`${source.output}.batch`, result, {
    order: [2, 0, 1],
    shape: [windows, count, rows, columns],
    view: { axes: [0, 1, 2, 3], folded: 1 },
  });
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
  // [rows, columns, filters of a group, channels]
  const kernel = transposed({ shape, data }, [2, 3, 1, 0]).data;
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
  if (axisOf(1, x) !== x.shape.length - 1)
    return source.fail(
      `normalizes axis 1 of [${["batch", ...dimensionsOf(x)].join()}], which holds no channels`,
    );
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
  const feature = importing.add(
    source.output,
    (name) => ({
      op: "batchNorm",
      name,
      input: x.node,
    }),
    x,
  );
  const entries = { gamma, beta, mean, variance: adjusted };
  for (const [key, values] of Object.entries(entries))
    importing.setParameter(`${feature.node}/${key}`, [x.shape.at(-1) ?? 1], values);
  return feature;
}
