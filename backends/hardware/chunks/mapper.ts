import {
  LOOP_ORDERS,
  bufferBytes,
  loopsOf,
  registerBytes,
  trafficOf,
  type Loops,
  type LoopOrder,
  type Mapping,
  type Tile,
  type Traffic,
} from "./mapping.js";
import type { LayerWork } from "../hardware.js";
import { MEMORY } from "../units.js";

/** What a chunk has. */
export interface Chunk {
  readonly elements: number;
  /** Of the buffer that all chunks share. */
  readonly bufferBytes: number;
  readonly registerBytes: number;
}

/** What one layer moves in one mapping. */
export interface Mapped {
  readonly mapping: Mapping;
  /** Of memory on all levels. */
  readonly picojoules: number;
  readonly dramBytes: number;
}

const WINDOW_BY_WINDOW: Tile = { outputs: 1, inputs: 1, pixels: 1 };

const picojoulesOf = ({ dram, buffer, network, registers }: Traffic): number =>
  dram * MEMORY.dram +
  buffer * MEMORY.buffer +
  network * MEMORY.network +
  registers * MEMORY.registers;

function mapped(loops: Loops, mapping: Mapping): Mapped {
  const traffic = trafficOf(loops, mapping);
  return { mapping, picojoules: picojoulesOf(traffic), dramBytes: traffic.dram };
}

/**
 * The mapping that all layers have which are not looked at: row stationary, one window at a time in each element, elements
 * for pixels first, and the buffer's tile by halving pixels, then output channels, then input channels until it fits.
 */
export function fixedMapping(work: LayerWork, chunk: Chunk): Mapped {
  const loops = loopsOf(work);
  let tile = loops.whole;
  while (bufferBytes(loops, tile) > chunk.bufferBytes) {
    const { outputs, inputs, pixels } = tile;
    if (pixels > 1) tile = { outputs, inputs, pixels: Math.ceil(pixels / 2) };
    else if (outputs > 1) tile = { outputs: Math.ceil(outputs / 2), inputs, pixels };
    else if (inputs > 1) tile = { outputs, inputs: Math.ceil(inputs / 2), pixels };
    else break;
  }
  const pixels = Math.min(chunk.elements, loops.whole.pixels);
  const outputs = Math.min(loops.whole.outputs, Math.floor(chunk.elements / pixels));
  return mapped(loops, {
    ...{ order: "row", buffer: tile, registers: WINDOW_BY_WINDOW },
    across: { outputs, pixels },
  });
}

/** What a mapping can be best in, and what decides between those that are equal. */
const AIM_VALUES = {
  energy: ({ picojoules, dramBytes }: Mapped) => [picojoules, dramBytes] as const,
  dram: ({ picojoules, dramBytes }: Mapped) => [dramBytes, picojoules] as const,
  product: ({ picojoules, dramBytes }: Mapped) => [picojoules * dramBytes, dramBytes] as const,
};
export type Aim = keyof typeof AIM_VALUES;
export const AIMS = Object.keys(AIM_VALUES) as Aim[];

/** The mappings of one loop order that are best in one respect, out of all combinations of tiles. */
export function bestMappings(
  work: LayerWork,
  chunk: Chunk,
  order: LoopOrder,
): Readonly<Record<Aim, Mapped>> {
  const loops = loopsOf(work);
  const { whole } = loops;
  const inBuffer = largestTiles(whole, (tile) => bufferBytes(loops, tile) <= chunk.bufferBytes);
  const inRegisters = largestTiles(
    whole,
    (tile) => registerBytes(loops, tile) <= chunk.registerBytes,
  );
  const sides = halves(Math.min(whole.outputs, chunk.elements)).map((outputs) => ({
    outputs,
    pixels: Math.min(whole.pixels, Math.floor(chunk.elements / outputs)),
  }));
  const first = fixedMapping(work, chunk);
  const best: Record<Aim, Mapped> = { energy: first, dram: first, product: first };
  for (const buffer of inBuffer)
    for (const registers of inRegisters)
      for (const across of sides) {
        const one = mapped(loops, { order, buffer, registers, across });
        for (const aim of AIMS) if (isBetter(one, best[aim], aim)) best[aim] = one;
      }
  return best;
}

function isBetter(one: Mapped, other: Mapped, aim: Aim): boolean {
  const [value, second] = AIM_VALUES[aim](one);
  const [least, secondLeast] = AIM_VALUES[aim](other);
  return value < least || (value === least && second < secondLeast);
}

export const ORDERS = Object.keys(LOOP_ORDERS) as LoopOrder[];

/** A number and what halving it again and again gives, rounded up, down to 1. */
function halves(whole: number): number[] {
  const found = [whole];
  for (let part = whole; part > 1;) {
    part = Math.ceil(part / 2);
    found.push(part);
  }
  return found;
}

/** Tiles that fit and that none contains which fits, too; a single window where nothing does. */
function largestTiles(whole: Tile, fits: (tile: Tile) => boolean): readonly Tile[] {
  const found: Tile[] = [];
  for (const outputs of halves(whole.outputs))
    for (const inputs of halves(whole.inputs)) {
      const pixels = halves(whole.pixels).find((count) => fits({ outputs, inputs, pixels: count }));
      if (pixels === undefined) continue;
      // Larger ones came before.
      const isInside = found.some(
        (one) => one.outputs >= outputs && one.inputs >= inputs && one.pixels >= pixels,
      );
      if (!isInside) found.push({ outputs, inputs, pixels });
    }
  return found.length > 0 ? found : [WINDOW_BY_WINDOW];
}
