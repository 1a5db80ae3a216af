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
export function fixedMapping(loops: Loops, chunk: Chunk): Mapped {
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

/** What mappings can be best in, and whether one is better than another. */
const AIM_ORDER = {
  energy: (one: Mapped, other: Mapped) =>
    one.picojoules - other.picojoules || one.dramBytes - other.dramBytes,
  dram: (one: Mapped, other: Mapped) =>
    one.dramBytes - other.dramBytes || one.picojoules - other.picojoules,
  product: (one: Mapped, other: Mapped) =>
    one.picojoules * one.dramBytes - other.picojoules * other.dramBytes,
};
export type Aim = keyof typeof AIM_ORDER;
export const AIMS = Object.keys(AIM_ORDER) as Aim[];

type Best = Readonly<Record<Aim, Mapped>>;

/** Networks repeat layers, and cells networks. */
const found = new Map<string, Best>();

/** The mappings of one loop order that are best in one respect, out of all combinations of tiles. */
export function bestMappings(work: LayerWork, chunk: Chunk, order: LoopOrder): Best {
  const loops = loopsOf(work);
  const key = JSON.stringify([loops, chunk, order]);
  const known = found.get(key) ?? searched(loops, chunk, order);
  found.set(key, known);
  return known;
}

function searched(loops: Loops, chunk: Chunk, order: LoopOrder): Best {
  const { whole } = loops;
  const inBuffer = tilesThat(whole, (tile) => bufferBytes(loops, tile) <= chunk.bufferBytes);
  const inRegisters = withoutParts(
    tilesThat(whole, (tile) => registerBytes(loops, tile) <= chunk.registerBytes),
  );
  const sides = quarters(Math.min(whole.outputs, chunk.elements)).map((outputs) => ({
    outputs,
    pixels: Math.min(whole.pixels, Math.floor(chunk.elements / outputs)),
  }));
  const first = fixedMapping(loops, chunk);
  const best: Record<Aim, Mapped> = { energy: first, dram: first, product: first };
  for (const buffer of inBuffer)
    for (const registers of inRegisters)
      for (const across of sides) {
        const one = mapped(loops, { order, buffer, registers, across });
        for (const aim of AIMS) if (AIM_ORDER[aim](one, best[aim]) < 0) best[aim] = one;
      }
  return best;
}

export const ORDERS = Object.keys(LOOP_ORDERS) as LoopOrder[];

/** A number and what a quarter of it again and again is, rounded up, down to 1. */
function quarters(whole: number): number[] {
  const parts = [whole];
  for (let part = whole; part > 1;) {
    part = Math.ceil(part / 4);
    parts.push(part);
  }
  return parts;
}

/** Tiles that none contains, for registers that are filled. */
const withoutParts = (tiles: readonly Tile[]): readonly Tile[] =>
  tiles.filter(
    (tile) =>
      !tiles.some(
        (other) =>
          other !== tile &&
          other.outputs >= tile.outputs &&
          other.inputs >= tile.inputs &&
          other.pixels >= tile.pixels,
      ),
  );

/** All tiles that fit; a single window where none does. */
function tilesThat(whole: Tile, fits: (tile: Tile) => boolean): readonly Tile[] {
  const tiles = quarters(whole.outputs)
    .flatMap((outputs) =>
      quarters(whole.inputs).flatMap((inputs) =>
        quarters(whole.pixels).map((pixels) => ({ outputs, inputs, pixels })),
      ),
    )
    .filter(fits);
  return tiles.length > 0 ? tiles : [WINDOW_BY_WINDOW];
}
