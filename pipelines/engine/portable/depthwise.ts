import {
  convolutionInfo,
  type ConvolutionAttributes,
  type ConvolutionInfo,
} from "../trace/convolutionInfo.js";
import type { Call } from "../trace/program.js";
import type { Argument, Assembler, Assembly } from "./assembly.js";
import { stridesOf } from "./strides.js";
import type { Block } from "./memory.js";
import { forwardWindows, frameOf, type Windows } from "./windows.js";

const FLOAT_BYTES = 4;
/** Channels that are computed at once; frames and filters are filled up to that. */
const LANES = 4;

const whole = (channels: number) => Math.ceil(channels / LANES) * LANES;

/** Images of so many channels, in a frame where pixels may lie apart. */
interface Spread {
  readonly size: readonly [height: number, width: number];
  readonly channels: number;
  /** Of neighbouring pixels in the frame, in pixels. */
  readonly distance: readonly [height: number, width: number];
}

function framed(assembly: Assembly, { size, channels, distance }: Spread, windows: Windows) {
  const [h, w] = [(size[0] - 1) * distance[0] + 1, (size[1] - 1) * distance[1] + 1];
  const { top, left, height, width } = frameOf([h, w], windows);
  const pixel = FLOAT_BYTES * whole(channels);
  const bytes = height * width * pixel;
  return {
    frame: [
      ...[...size, channels, assembly.scratch(bytes), bytes],
      (top * width + left) * pixel,
      ...[distance[1] * pixel, distance[0] * width * pixel],
    ] as Argument[],
    taps: [
      assembly.integers(
        windows.taps.map(({ row, column }) => ((row + top) * width + column + left) * pixel),
      ),
      windows.taps.length,
    ] as const,
    steps: [windows.strides[1] * pixel, windows.strides[0] * width * pixel] as const,
  };
}

interface Recorded {
  readonly info: ConvolutionInfo;
  /** Outputs of each input channel. */
  readonly multiplier: number;
  /** Channels of the outputs: inputs count once for each of theirs. */
  readonly channels: number;
}

function recorded({ inputs, attributes, outputs }: Call): Recorded {
  const { inputShape, filterShape, ...rest } = attributes as unknown as ConvolutionAttributes & {
    inputShape?: number[];
    filterShape?: number[];
  };
  const info = convolutionInfo(
    inputShape ?? inputs["x"]?.shape ?? [],
    filterShape ?? inputs["filter"]?.shape ?? outputs[0]?.shape ?? [],
    rest,
    true,
  );
  return { info, multiplier: info.outChannels / info.inChannels, channels: info.outChannels };
}

/** Images whose channels are repeated, once for each output of theirs. */
function multiplied(assembly: Assembly, block: Block, { info, multiplier }: Recorded): Block {
  if (multiplier === 1) return block;
  const pixels = info.batchSize * info.inHeight * info.inWidth * info.inChannels;
  return assembly.repeated(block, [pixels, 1], [pixels, multiplier]);
}

/** The filter with its channels filled up; its taps in the order of the windows'. */
function filled(
  assembly: Assembly,
  filter: Block,
  { channels }: Recorded,
  windows: Windows,
): Block {
  const lanes = whole(channels);
  const count = windows.taps.length;
  const block = assembly.scratch(FLOAT_BYTES * count * lanes);
  if (lanes !== channels) assembly.call("fill", block, count * lanes, 0);
  const [first, second] = windows.taps;
  const step = second === undefined || first === undefined ? 0 : second.offset - first.offset;
  assembly.copy(
    [count, channels],
    { block: filter, offset: first?.offset ?? 0, strides: [step, 1] },
    { block, strides: [lanes, 1] },
  );
  return block;
}

const forward: Assembler = (call, assembly) => {
  const known = recorded(call);
  const { info, channels } = known;
  const windows = forwardWindows(info, channels);
  const x = multiplied(assembly, assembly.block(call.inputs["x"]), known);
  const filter = filled(assembly, assembly.block(call.inputs["filter"]), known, windows);
  const source = framed(
    assembly,
    { size: [info.inHeight, info.inWidth], channels, distance: [1, 1] },
    windows,
  );
  assembly.call(
    "convolveDepthwise",
    ...[x, ...source.frame, info.batchSize, filter, ...source.taps],
    ...[...windows.out, ...source.steps, assembly.result(call)],
  );
};

/** With the filter turned around, over gradients that lie as far apart as windows did. */
const inputGradient: Assembler = (call, assembly) => {
  const known = recorded(call);
  const { info, channels, multiplier } = known;
  const { inHeight, inWidth, outHeight, outWidth, batchSize } = info;
  const windows: Windows = {
    taps: forwardWindows(info, channels)
      .taps.map(({ row, column, offset }) => ({ row: -row, column: -column, offset }))
      .reverse(),
    strides: [1, 1],
    out: [inHeight, inWidth],
  };
  const filter = filled(assembly, assembly.block(call.inputs["filter"]), known, windows);
  const source = framed(
    assembly,
    {
      ...{ size: [outHeight, outWidth], channels },
      distance: [info.strideHeight, info.strideWidth],
    },
    windows,
  );
  const result = assembly.result(call);
  const size = batchSize * inHeight * inWidth * channels;
  const target = multiplier === 1 ? result : assembly.scratch(FLOAT_BYTES * size);
  assembly.call(
    "convolveDepthwise",
    ...[assembly.block(call.inputs["dy"]), ...source.frame, batchSize, filter, ...source.taps],
    ...[...windows.out, ...source.steps, target],
  );
  if (multiplier !== 1) {
    assembly.call("reduceRows", 0, target, result, size / multiplier, multiplier, 1);
  }
};

const filterGradient: Assembler = (call, assembly) => {
  const known = recorded(call);
  const { info, channels } = known;
  const windows = forwardWindows(info, channels);
  const lanes = whole(channels);
  const { outHeight, outWidth } = info;
  const x = multiplied(assembly, assembly.block(call.inputs["x"]), known);
  const source = framed(
    assembly,
    { size: [info.inHeight, info.inWidth], channels, distance: [1, 1] },
    windows,
  );
  const sums = assembly.scratch(FLOAT_BYTES * windows.taps.length * lanes);
  assembly.call(
    "depthwiseFilterGradient",
    ...[x, ...source.frame, info.batchSize, assembly.block(call.inputs["dy"])],
    ...[assembly.scratch(FLOAT_BYTES * outHeight * outWidth * lanes), ...source.taps],
    ...[...windows.out, ...source.steps, sums],
  );
  const shape = [windows.taps.length, channels];
  assembly.copy(
    shape,
    { block: sums, strides: [lanes, 1] },
    { block: assembly.result(call), strides: stridesOf(shape) },
  );
};

/** Kernels of convolutions that keep channels apart. */
export const depthwise: Readonly<Record<string, Assembler>> = {
  DepthwiseConv2dNative: forward,
  DepthwiseConv2dNativeBackpropInput: inputGradient,
  DepthwiseConv2dNativeBackpropFilter: filterGradient,
};
