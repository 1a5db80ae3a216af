import {
  AIMS,
  bestMappings,
  fixedMapping,
  ORDERS,
  type Chunk,
  type Mapped,
} from "./chunks/mapper.js";
import { loopsOf } from "./chunks/mapping.js";
import { perOperator, splitElements, type PerOperator } from "./chunks/split.js";
import {
  OPERATORS,
  operationsOf,
  operatorOf,
  upTo,
  type HardwareModel,
  type LayerWork,
  type OperatorKind,
  type SharedCost,
} from "./hardware.js";
import { INTEGER } from "./units.js";

/** Of all chunks together, in proportion to their elements: Eyeriss's. */
const BUFFER_BYTES = 108 * 1024;
/** Of one element: Eyeriss's. */
const REGISTER_BYTES = 512;
const CLOCK_HZ = 250e6;
/** From DRAM: 4 GB/s. */
const BYTES_PER_CYCLE = 16;

/** Picojoules of one operation on 8 bits, without adding it up. */
const OPERATION: PerOperator<number> = {
  convolution: INTEGER.product,
  shift: INTEGER.shift,
  adder: INTEGER.difference,
};

/** Sizes that a test may change. */
export interface ChunkSizes {
  readonly bufferBytes: number;
  readonly registerBytes: number;
}

/** A chunk's layers in one choice of mappings. */
interface Stage {
  readonly picojoules: number;
  readonly dramBytes: number;
}

const sumOf = <T>(values: readonly T[], of: (value: T) => number): number =>
  values.reduce((sum, value) => sum + of(value), 0);

const stageOf = (layers: readonly Mapped[]): Stage => ({
  picojoules: sumOf(layers, ({ picojoules }) => picojoules),
  dramBytes: sumOf(layers, ({ dramBytes }) => dramBytes),
});

/** What a chunk's layers can be: mapped as fixed (first), or in one loop order by one of three aims. */
function stagesOf(work: readonly LayerWork[], chunk: Chunk): readonly [Stage, ...Stage[]] {
  const found = ORDERS.flatMap((order) => {
    const mappings = work.map((layer) => bestMappings(layer, chunk, order));
    return AIMS.map((aim) => stageOf(mappings.map((layer) => layer[aim])));
  });
  return [stageOf(work.map((layer) => fixedMapping(loopsOf(layer), chunk))), ...found];
}

/** Cycles and energy of one image with a stage for each chunk. */
function together(
  chosen: readonly Stage[],
  { compute, arithmetic }: { readonly compute: readonly number[]; readonly arithmetic: number },
) {
  const stages = chosen.map(({ dramBytes }, at) =>
    Math.max(compute[at] ?? 0, dramBytes / BYTES_PER_CYCLE),
  );
  // Chunks work on different images at the same time, but all from the same DRAM.
  const fromDram = sumOf(chosen, ({ dramBytes }) => dramBytes) / BYTES_PER_CYCLE;
  const cycles = Math.ceil(Math.max(fromDram, ...stages));
  const picojoules = sumOf(chosen, (stage) => stage.picojoules) + arithmetic;
  const cyclesOfOneImage = Math.ceil(sumOf(stages, (stage) => stage));
  return { cycles, picojoules, cyclesOfOneImage };
}

/** Cycles of a chunk that always has something to do. */
export const computeCycles = (work: readonly LayerWork[], elements: number): number =>
  sumOf(work, (layer) => Math.ceil(operationsOf(layer) / elements));

/** A network on chunks of elements, in the mapping with the least product of energy and delay that is found. */
export function costOnChunks(
  work: readonly LayerWork[],
  sizes: ChunkSizes = { bufferBytes: BUFFER_BYTES, registerBytes: REGISTER_BYTES },
): SharedCost {
  const layersOf = perOperator((kind) => work.filter((layer) => operatorOf(layer) === kind));
  const elements = splitElements(perOperator((kind) => sumOf(layersOf[kind], operationsOf)));
  const all = sumOf(OPERATORS, (kind) => elements[kind]);
  const busy = OPERATORS.filter((kind) => elements[kind] > 0);
  const stages = busy.map((kind) =>
    stagesOf(layersOf[kind], {
      elements: elements[kind],
      bufferBytes: (sizes.bufferBytes * elements[kind]) / all,
      registerBytes: sizes.registerBytes,
    }),
  );
  const operations = (kind: OperatorKind) => sumOf(layersOf[kind], operationsOf);
  const sums = INTEGER.sum * sumOf(busy, operations);
  const network = {
    compute: busy.map((kind) => computeCycles(layersOf[kind], elements[kind])),
    arithmetic: sums + sumOf(busy, (kind) => operations(kind) * OPERATION[kind]),
  };
  const fixed = together(
    stages.map(([first]) => first),
    network,
  );
  const best = choices(stages)
    .map((chosen) => together(chosen, network))
    .reduce((least, one) => (product(one) < product(least) ? one : least), fixed);
  return {
    ...{ cycles: best.cycles, picojoules: best.picojoules },
    mapping: {
      cyclesOfOneImage: best.cyclesOfOneImage,
      picojoulesWithoutSums: best.picojoules - sums,
      fixed: { cycles: fixed.cycles, picojoules: fixed.picojoules },
    },
  };
}

const product = ({ cycles, picojoules }: { cycles: number; picojoules: number }): number =>
  cycles * picojoules;

/** Every way of taking one of each. */
const choices = <T>(lists: readonly (readonly T[])[]): T[][] =>
  lists.reduce<T[][]>(
    (found, list) => found.flatMap((one) => list.map((next) => [...one, next])),
    [[]],
  );

/** NASA's accelerator: a chunk for each operator, working on different images at the same time, mapped by search. */
export const nasaChunks: HardwareModel = {
  name: "nasaChunks",
  title: "NASA's chunks for convolution, shift and adder layers (45 nm, 250 MHz)",
  source: {
    title:
      "NASA: Neural Architecture Search and Acceleration for Hardware Inspired Hybrid Networks (Shi et al., ICCAD 2022)",
    url: "https://arxiv.org/abs/2210.13361",
  },
  provenance:
    "chunks, balanced stages, the area of Eyeriss's 168 elements, its 108 KB and 512 B and the four loop orders are from memory of the paper, whose accelerator was not released; energies per byte are those of the group's predictor, those of operations ShiftAddNet's; areas of elements, 16 bytes a cycle from DRAM (shared by all chunks), the search and all formulas are derived here",
  clockHz: CLOCK_HZ,
  unsupported: upTo(8),
  cost(work) {
    const { cycles, picojoules } = costOnChunks([work]);
    return { cycles, picojoules };
  },
  costOfAll: (work) => costOnChunks(work),
};
