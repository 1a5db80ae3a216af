import {
  ADDER,
  ADDER_INPUT_GRADIENT,
  adderSizes,
  type AdderAttributes,
  type AdderSizes,
} from "../adderLayer.js";
import type { Call } from "../trace/program.js";
import type { Assembler, Assembly } from "./assembly.js";
import type { Block } from "./memory.js";

const FLOAT_BYTES = 4;
/** Filters, or channels, that are computed at once. */
const LANES = 8;
const whole = (count: number) => Math.ceil(count / LANES) * LANES;

function known({ inputs, attributes }: Call) {
  const { x, filter } = inputs;
  if (x === undefined || filter === undefined) throw new TypeError("an adder layer without inputs");
  const { strides } = attributes as unknown as AdderAttributes;
  return { sizes: adderSizes(x, filter, { strides }), strides };
}

/** The filter as [size, filters], its filters filled up. */
function byFilters(assembly: Assembly, block: Block, sizes: AdderSizes): Block {
  const { rows, columns, channels, filters } = sizes;
  const [size, lanes] = [rows * columns * channels, whole(filters)];
  if (lanes === filters) return block;
  const filled = assembly.scratch(FLOAT_BYTES * size * lanes);
  assembly.call("fill", filled, size * lanes, 0);
  assembly.copy(
    [size, filters],
    { block, strides: [filters, 1] },
    { block: filled, strides: [lanes, 1] },
  );
  return filled;
}

/** The filter as [taps, filters, channels], its channels filled up. */
function byChannels(assembly: Assembly, block: Block, sizes: AdderSizes): Block {
  const { rows, columns, channels, filters } = sizes;
  const [taps, lanes] = [rows * columns, whole(channels)];
  const turned = assembly.scratch(FLOAT_BYTES * taps * filters * lanes);
  if (lanes !== channels) assembly.call("fill", turned, taps * filters * lanes, 0);
  assembly.copy(
    [taps, filters, channels],
    { block, strides: [channels * filters, 1, filters] },
    { block: turned, strides: [filters * lanes, lanes, 1] },
  );
  return turned;
}

const forward: Assembler = (call, assembly) => {
  const { sizes, strides } = known(call);
  const { count, height, width, channels, rows, columns, filters, outHeight, outWidth } = sizes;
  const rowBytes = FLOAT_BYTES * width * channels;
  const x = assembly.block(call.inputs["x"]);
  const filter = byFilters(assembly, assembly.block(call.inputs["filter"]), sizes);
  assembly.call(
    "adderForward",
    ...[x, height * rowBytes, rowBytes, count, filter, columns * channels, rows],
    ...[outHeight, outWidth, FLOAT_BYTES * strides[1] * channels, strides[0] * rowBytes],
    ...[filters, assembly.scratch(FLOAT_BYTES * LANES), assembly.result(call)],
  );
};

const inputGradient: Assembler = (call, assembly) => {
  const { sizes, strides } = known(call);
  const { count, height, width, channels, rows, columns, filters, outHeight, outWidth } = sizes;
  const x = assembly.block(call.inputs["x"]);
  const dy = assembly.block(call.inputs["dy"]);
  const filter = byChannels(assembly, assembly.block(call.inputs["filter"]), sizes);
  assembly.call(
    "adderInputGradient",
    ...[x, height, width, channels, count, filter, rows, columns],
    ...[outHeight, outWidth, ...strides, filters, dy],
    ...[assembly.scratch(FLOAT_BYTES * LANES), assembly.result(call)],
  );
};

/** Kernels of layers that add distances. */
export const adding: Readonly<Record<string, Assembler>> = {
  [ADDER]: forward,
  [ADDER_INPUT_GRADIENT]: inputGradient,
};
