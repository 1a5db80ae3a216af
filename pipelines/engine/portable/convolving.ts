import type * as tf from "#tf";
import { sizeOf } from "../engine.js";
import {
  convolutionInfo,
  type ConvolutionAttributes,
  type ConvolutionInfo,
} from "../trace/convolutionInfo.js";
import type { Call } from "../trace/program.js";
import type { Argument, Assembler, Assembly } from "./assembly.js";
import type { Block } from "./memory.js";
import { stridesOf } from "./strides.js";
import { backwardPhases, forwardWindows, frameOf, runsOf, type Windows } from "./windows.js";

const FLOAT_BYTES = 4;
/** Channels of a tile, and bytes that kernels may read behind what they were given. */
const LANES = 8;
const SLACK = 64;
/** Output channels for which lanes are better filled with the values of a window. */
const MOST_FEW = 2;

const whole = (count: number, unit: number) => Math.ceil(count / unit) * unit;

interface Images {
  readonly block: Block;
  /** [images, height, width, channels] */
  readonly shape: readonly [number, number, number, number];
}

/** Weights of a tap: distances of neighbouring inputs and outputs, in elements. */
interface Filter {
  readonly block: Block;
  readonly inputStride: number;
  readonly outputStride: number;
}

/** Where results go: distances in elements. */
interface Target {
  readonly block: Block;
  readonly offset: number;
  readonly channels: number;
  readonly image: number;
  readonly row: number;
  readonly pixel: number;
}

/** The images, their frame and the runs of windows in it, as kernels take them. */
function framed(assembly: Assembly, { block, shape }: Images, windows: Windows) {
  const [count, h, w, c] = shape;
  const frame = frameOf([h, w], windows);
  const pixel = FLOAT_BYTES * c;
  const bytes = frame.height * frame.width * pixel;
  const { starts, length } = runsOf(windows.taps, frame);
  return {
    images: [
      ...[block, h * w * pixel, h, w, pixel],
      ...[frame.none ? 0 : assembly.scratch(bytes + SLACK), frame.none ? 0 : bytes],
      ...[frame.width, (frame.top * frame.width + frame.left) * pixel, count],
    ] as Argument[],
    runs: [assembly.integers(starts.map((at) => at * pixel)), starts.length, length * c] as const,
  };
}

function convolve(
  assembly: Assembly,
  {
    images,
    windows,
    filter,
    target,
  }: { images: Images; windows: Windows; filter: Filter; target: Target },
): void {
  const inputs = images.shape[3];
  const { taps, strides, out } = windows;
  const packed = assembly.scratch(
    FLOAT_BYTES * taps.length * inputs * whole(target.channels, LANES),
  );
  assembly.call(
    "packFilter",
    ...[filter.block, packed],
    ...[assembly.integers(taps.map(({ offset }) => FLOAT_BYTES * offset)), taps.length],
    ...[inputs, FLOAT_BYTES * filter.inputStride],
    ...[target.channels, FLOAT_BYTES * filter.outputStride],
  );
  const few = target.channels <= MOST_FEW;
  const weights = few ? unpacked(assembly, packed, taps.length * inputs, target.channels) : packed;
  const source = framed(assembly, images, windows);
  assembly.call(
    few ? "convolveFew" : "convolve",
    ...[...source.images, weights, ...source.runs, ...out, ...strides, target.channels],
    { block: target.block, offset: FLOAT_BYTES * target.offset },
    ...[target.image, target.row, target.pixel].map((distance) => FLOAT_BYTES * distance),
  );
}

/** A packed filter as rows of weights, one for each output. */
function unpacked(assembly: Assembly, packed: Block, length: number, outputs: number): Block {
  const block = assembly.scratch(FLOAT_BYTES * length * outputs);
  assembly.copy(
    [outputs, length],
    { block: packed, strides: [1, LANES] },
    { block, strides: [length, 1] },
  );
  return block;
}

const imagesOf = (assembly: Assembly, info: tf.TensorInfo | undefined): Images => ({
  block: assembly.block(info),
  shape: info?.shape as [number, number, number, number],
});

/** Geometry of a recorded convolution, whatever it computes of it. */
function infoOf({ inputs, attributes, outputs, kernel }: Call): ConvolutionInfo {
  const { inputShape, filterShape, ...rest } = attributes as unknown as ConvolutionAttributes & {
    inputShape?: number[];
    filterShape?: number[];
  };
  return convolutionInfo(
    inputShape ?? inputs["x"]?.shape ?? [],
    filterShape ?? inputs["filter"]?.shape ?? outputs[0]?.shape ?? [],
    rest,
    kernel.startsWith("Depthwise"),
  );
}

function inputGradient(call: Call, assembly: Assembly): void {
  const info = infoOf(call);
  const { inHeight, inWidth, inChannels: c, outChannels, strideHeight, strideWidth } = info;
  const block = assembly.result(call);
  const images = imagesOf(assembly, call.inputs["dy"]);
  const filter = {
    block: assembly.block(call.inputs["filter"]),
    inputStride: 1,
    outputStride: outChannels,
  };
  const phases = backwardPhases(info, c * outChannels);
  // Pixels that no window meets.
  if (phases.length < strideHeight * strideWidth || phases.some(({ taps }) => taps.length === 0)) {
    assembly.call("fill", block, info.batchSize * inHeight * inWidth * c, 0);
  }
  for (const phase of phases) {
    if (phase.taps.length === 0) continue;
    const target = {
      ...{ block, offset: (phase.row * inWidth + phase.column) * c, channels: c },
      ...{ image: inHeight * inWidth * c, row: strideHeight * inWidth * c, pixel: strideWidth * c },
    };
    convolve(assembly, { images, windows: phase, filter, target });
  }
}

function filterGradient(call: Call, assembly: Assembly): void {
  const info = infoOf(call);
  const { inChannels, outChannels, outHeight, outWidth } = info;
  const windows = forwardWindows(info, inChannels * outChannels);
  const lanes = whole(outChannels, LANES);
  const rows = windows.taps.length * inChannels;
  const result = assembly.result(call);
  const fits = lanes === outChannels;
  const sums = fits ? result : assembly.scratch(FLOAT_BYTES * rows * lanes);
  const source = framed(assembly, imagesOf(assembly, call.inputs["x"]), windows);
  const gradients = assembly.block(call.inputs["dy"]);
  const gradientFrame = fits ? 0 : assembly.scratch(FLOAT_BYTES * outHeight * outWidth * lanes);
  assembly.call(
    "filterGradient",
    ...[...source.images, gradients, gradientFrame, ...source.runs],
    ...[...windows.out, ...windows.strides, outChannels, sums],
  );
  if (!fits) {
    assembly.copy(
      [rows, outChannels],
      { block: sums, strides: [lanes, 1] },
      { block: result, strides: [outChannels, 1] },
    );
  }
}

function matMul(call: Call, assembly: Assembly): void {
  const { a, b } = call.inputs;
  const [output] = call.outputs;
  const { transposeA, transposeB } = call.attributes as {
    transposeA: boolean;
    transposeB: boolean;
  };
  if (a === undefined || b === undefined || output === undefined)
    throw new TypeError("no operands");
  const [rows = 1, columns = 1] = output.shape.slice(-2);
  const inner = (transposeA ? a.shape.at(-2) : a.shape.at(-1)) ?? 1;
  const batch = output.shape.slice(0, -2);
  const target = assembly.result(call);
  if (inner === 0) {
    assembly.call("fill", target, sizeOf(output.shape), 0);
    return;
  }
  const left = batched(assembly, a, batch);
  const right = batched(assembly, b, batch);
  for (let i = 0; i < sizeOf(batch); i++) {
    let from = left;
    let at = i * rows * inner;
    if (transposeA) {
      from = assembly.scratch(FLOAT_BYTES * rows * inner);
      assembly.copy(
        [rows, inner],
        { block: left, offset: at, strides: [1, rows] },
        { block: from, strides: [inner, 1] },
      );
      at = 0;
    }
    const packed = assembly.scratch(FLOAT_BYTES * inner * whole(columns, LANES));
    assembly.call(
      "packFilter",
      ...[{ block: right, offset: FLOAT_BYTES * i * inner * columns }, packed],
      ...[assembly.integers([0]), 1, inner, FLOAT_BYTES * (transposeB ? 1 : columns)],
      ...[columns, FLOAT_BYTES * (transposeB ? inner : 1)],
    );
    assembly.call(
      "convolve",
      ...[{ block: from, offset: FLOAT_BYTES * at }, 0, 1, rows, FLOAT_BYTES * inner],
      ...[0, 0, rows, 0, 1, packed, assembly.integers([0]), 1, inner],
      ...[1, rows, 1, 1, columns],
      ...[{ block: target, offset: FLOAT_BYTES * i * rows * columns }, 0, 0, FLOAT_BYTES * columns],
    );
  }
}

/** The matrices of an operand, one for each of the result. */
function batched(assembly: Assembly, info: tf.TensorInfo, batch: readonly number[]): Block {
  const block = assembly.block(info);
  const matrix = info.shape.slice(-2);
  const own = info.shape.slice(0, -2);
  if (sizeOf(own) === sizeOf(batch)) return block;
  const shape = [...Array<number>(batch.length - own.length).fill(1), ...own, ...matrix];
  return assembly.repeated(block, shape, [...batch, ...matrix]);
}

/** Kernels that are sums of products: dense convolutions, their gradients, products of matrices. */
export const convolving: Readonly<Record<string, Assembler>> = {
  Conv2D(call, assembly) {
    const info = infoOf(call);
    const { inChannels, outChannels, outHeight, outWidth } = info;
    const [image = 0, row = 0, pixel = 0] = stridesOf([1, outHeight, outWidth, outChannels]);
    convolve(assembly, {
      images: imagesOf(assembly, call.inputs["x"]),
      windows: forwardWindows(info, inChannels * outChannels),
      filter: {
        ...{ block: assembly.block(call.inputs["filter"]) },
        ...{ inputStride: outChannels, outputStride: 1 },
      },
      target: { block: assembly.result(call), offset: 0, channels: outChannels, image, row, pixel },
    });
  },
  Conv2DBackpropInput: inputGradient,
  Conv2DBackpropFilter: filterGradient,
  BatchMatMul: matMul,
};
