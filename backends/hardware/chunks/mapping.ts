import { operationsOf, type LayerWork } from "../hardware.js";

/** Output channels, input channels and output pixels: what the loops of a layer go over; windows stay whole. */
export interface Tile {
  readonly outputs: number;
  readonly inputs: number;
  readonly pixels: number;
}
type Dimension = keyof Tile;

/**
 * Loops from the outermost to the innermost, by what they keep in place: of the innermost loop each tensor that it
 * does not change is not fetched again. Kernel rows stay in elements while pixels pass, as weights do, and the
 * sum of a window stays, too.
 */
export const LOOP_ORDERS = {
  row: ["outputs", "inputs", "pixels"],
  weight: ["inputs", "outputs", "pixels"],
  output: ["outputs", "pixels", "inputs"],
  input: ["pixels", "inputs", "outputs"],
} as const satisfies Readonly<Record<string, readonly Dimension[]>>;
export type LoopOrder = keyof typeof LOOP_ORDERS;

/** How a layer's loops are cut: a tile in the buffer, one in each element's registers, elements side by side. */
export interface Mapping {
  readonly order: LoopOrder;
  readonly buffer: Tile;
  readonly registers: Tile;
  /** Elements that have output channels of their own, each for as many that have pixels of their own. */
  readonly across: { readonly outputs: number; readonly pixels: number };
}

/** A layer as loops see it: one of its groups, which follow one another. */
export interface Loops {
  readonly groups: number;
  readonly whole: Tile;
  readonly window: number;
  /** Values of an input channel. */
  readonly inputPixels: number;
  readonly weightBytes: number;
  readonly activationBytes: number;
  readonly operations: number;
}

/** Bytes of a sum that is not complete. */
const SUM_BYTES = 4;

export function loopsOf(work: LayerWork): Loops {
  const { taps, window, groups, outputChannels, outputPixels, inputValues } = work;
  const inputs = taps / window;
  return {
    groups,
    whole: { outputs: outputChannels / groups, inputs, pixels: outputPixels },
    window,
    inputPixels: inputValues / (inputs * groups),
    weightBytes: work.weightBits / 8,
    activationBytes: work.activationBits / 8,
    operations: operationsOf(work),
  };
}

/** What a tile takes in the buffer. */
export function bufferBytes(loops: Loops, { outputs, inputs, pixels }: Tile): number {
  const read = Math.ceil((loops.inputPixels * pixels) / loops.whole.pixels);
  return (
    outputs * inputs * loops.window * loops.weightBytes +
    inputs * read * loops.activationBytes +
    outputs * pixels * SUM_BYTES
  );
}

/** What a tile takes in an element's registers, where windows do not share what they read. */
export function registerBytes(loops: Loops, { outputs, inputs, pixels }: Tile): number {
  return (
    inputs * loops.window * (outputs * loops.weightBytes + pixels * loops.activationBytes) +
    outputs * pixels * SUM_BYTES
  );
}

/** Bytes of one image that pass each level. */
export interface Traffic {
  readonly dram: number;
  readonly buffer: number;
  readonly network: number;
  readonly registers: number;
}

const parts = (whole: number, part: number): number => Math.ceil(whole / part);

/**
 * How often a tensor is fetched that one of the dimensions does not change: once, unless a loop inside of that
 * dimension's changes it.
 *
 * @param counts of the loops from the outermost to the innermost: those over the buffer's tiles, then those inside of one
 */
function fetches(order: LoopOrder, counts: readonly number[], unchangedBy: Dimension): number {
  const loops = LOOP_ORDERS[order];
  let [times, changed] = [1, false];
  for (let at = counts.length - 1; at >= 0; at--) {
    const count = counts[at] ?? 1;
    if (loops[at % loops.length] !== unchangedBy) changed ||= count > 1;
    else if (changed) times *= count;
  }
  return times;
}

function inOrder(order: LoopOrder, counts: Tile): readonly [number, number, number] {
  const [first, second, third] = LOOP_ORDERS[order];
  return [counts[first], counts[second], counts[third]];
}

/** What passes each level with one mapping. Halos between tiles of pixels are not read again. */
export function trafficOf(loops: Loops, { order, buffer, registers, across }: Mapping): Traffic {
  const { whole, groups, window, weightBytes, activationBytes, operations } = loops;
  const weights = groups * whole.outputs * whole.inputs * window * weightBytes;
  const inputs = groups * whole.inputs * loops.inputPixels * activationBytes;
  const outputs = groups * whole.outputs * whole.pixels;
  const outer = inOrder(order, {
    outputs: parts(whole.outputs, buffer.outputs),
    inputs: parts(whole.inputs, buffer.inputs),
    pixels: parts(whole.pixels, buffer.pixels),
  });
  const inner = inOrder(order, {
    outputs: parts(buffer.outputs, registers.outputs * across.outputs),
    inputs: parts(buffer.inputs, registers.inputs),
    pixels: parts(buffer.pixels, registers.pixels * across.pixels),
  });
  const all = [...outer, ...inner] as const;
  // Written once at its width; before, sums that are not complete are written and read again.
  const written = (counts: readonly number[]) =>
    outputs * (activationBytes + 2 * SUM_BYTES * (fetches(order, counts, "inputs") - 1));
  const dram =
    weights * fetches(order, outer, "pixels") +
    inputs * fetches(order, outer, "outputs") +
    written(outer);
  const weightsRead = weights * fetches(order, all, "pixels");
  const inputsRead = inputs * fetches(order, all, "outputs");
  const sums = written(all);
  // Each element has a copy of what others beside it read, too.
  const network =
    weightsRead * Math.min(across.pixels, parts(buffer.pixels, registers.pixels)) +
    inputsRead * Math.min(across.outputs, parts(buffer.outputs, registers.outputs)) +
    sums;
  const kept = keptFor(order, registers, window);
  const perOperation =
    weightBytes / kept.weights + activationBytes / kept.inputs + (2 * SUM_BYTES) / kept.sums;
  return {
    dram,
    buffer: dram + weightsRead + inputsRead + sums,
    network,
    registers: network + operations * perOperation,
  };
}

/** For how many operations an element's arithmetic keeps each operand before the registers are asked again. */
function keptFor(order: LoopOrder, tile: Tile, window: number) {
  switch (order) {
    case "row":
      return { weights: 1, inputs: 1, sums: window };
    case "weight":
      return { weights: tile.pixels, inputs: 1, sums: 1 };
    case "output":
      return { weights: 1, inputs: 1, sums: window * tile.inputs };
    case "input":
      return { weights: 1, inputs: tile.outputs, sums: 1 };
  }
}
