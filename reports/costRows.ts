import type { NetworkCost } from "../results/costSchema.js";
import type { CompletedCell } from "../results/schema.js";
import type { Sparsity } from "../results/sparsitySchema.js";
import { bytes, milliseconds, prefixed } from "./format.js";
import { modelledCost, type Modelled } from "./modelledCost.js";

interface CostRow {
  readonly name: string;
  readonly float: string;
  readonly quantized: string;
  readonly ratio: string;
}

/** What one image costs in float and quantized, the ratio, and what a search of bits looked at. */
export function costsOf(cell: CompletedCell): CostRow[] {
  const { cost, size, sparsity, search, measured } = cell;
  const { latency } = measured;
  const row = (
    name: string,
    [float, quantized]: readonly [number | undefined, number | undefined],
    format: (value: number) => string,
  ): CostRow => ({
    name,
    float: float === undefined ? "–" : format(float),
    quantized: quantized === undefined ? "–" : format(quantized),
    ratio: float === undefined || quantized === undefined ? "–" : (float / quantized).toFixed(2),
  });
  const both = (of: (network: NetworkCost) => number | undefined) =>
    [of(cost.float), of(cost.quantized)] as const;
  const hardware = Object.keys(cost.quantized.hardware).flatMap((model) => {
    const found = cost.quantized.hardware[model] ?? {};
    if ("unsupported" in found)
      return [{ name: model, float: "–", quantized: found.unsupported, ratio: "–" }];
    return HARDWARE_ROWS.flatMap(({ name, of, format }) =>
      of(found) === undefined
        ? []
        : [
            row(
              `${model}: ${name}`,
              both((network) => modelledCost(network, model, of)),
              format,
            ),
          ],
    );
  });
  return [
    row(
      "multiplications",
      both(({ macs }) => macs),
      prefixed,
    ),
    ...OTHER_OPERATIONS.filter((name) => cost.quantized[name] !== undefined).map((name) =>
      row(
        name,
        both((network) => network[name] ?? 0),
        prefixed,
      ),
    ),
    row(
      "bit operations",
      both(({ bitOps }) => bitOps),
      prefixed,
    ),
    row("weights", [undefined, size.weightBytes], bytes),
    ...(sparsity === undefined ? [] : sparsityRows(sparsity, cost.float.macs)),
    ...(size.stored === undefined
      ? []
      : [
          row(
            `weights in float32, and stored as ${size.stored.format}`,
            [4 * size.stored.weights, size.stored.bytes],
            bytes,
          ),
          row("weights in 8 bits, and stored", [size.stored.weights, size.stored.bytes], bytes),
        ]),
    row(
      "activations at the same time",
      both(({ activationBytes }) => activationBytes),
      bytes,
    ),
    row("ONNX file", [size.floatFileBytes, size.quantizedFileBytes], bytes),
    row(
      "measured latency, median",
      [latency.float.medianMs, latency.quantized.medianMs],
      milliseconds,
    ),
    ...hardware,
    ...(search === undefined
      ? []
      : [row("image visits of its search", [undefined, search.visits.used], prefixed)]),
  ];
}

/** What weights do where they do not multiply. */
const OTHER_OPERATIONS = ["shifts", "differences"] as const;

interface HardwareRow {
  readonly name: string;
  readonly of: (cost: Modelled) => number | undefined;
  readonly format: (value: number) => string;
}
const microjoules = (energy: number) => `${energy.toPrecision(3)} µJ`;
const energyDelay = (value: number) => `${value.toPrecision(3)} µJ ms`;
const HARDWARE_ROWS: readonly HardwareRow[] = [
  { name: "cycles", of: ({ cycles }) => cycles, format: prefixed },
  { name: "modelled latency", of: (cost) => cost.milliseconds, format: milliseconds },
  {
    name: "modelled latency of an image alone",
    of: ({ mapping }) => mapping?.millisecondsOfOneImage,
    format: milliseconds,
  },
  { name: "modelled energy", of: (cost) => cost.microjoules, format: microjoules },
  {
    name: "modelled energy without adding up",
    of: ({ mapping }) => mapping?.microjoulesWithoutSums,
    format: microjoules,
  },
  {
    name: "energy times delay, best mapping",
    of: ({ mapping }) => mapping?.energyDelay,
    format: energyDelay,
  },
  {
    name: "energy times delay, fixed mapping",
    of: ({ mapping }) => mapping?.fixedEnergyDelay,
    format: energyDelay,
  },
];

const FORMATS = { dense: "dense", bitmap: "bitmap + values", "2:4": "2:4" } as const;

/** What zeros among the weights are worth, if something stores them and leaves them out. */
function sparsityRows(sparsity: Sparsity, floatMacs: number): CostRow[] {
  const { weights, nonzero, effectiveMacs, storedBytes, format } = sparsity;
  const over = (a: number, b: number) => (b === 0 ? "–" : (a / b).toFixed(2));
  return [
    {
      name: "weights that are not 0",
      float: prefixed(weights),
      quantized: prefixed(nonzero),
      ratio: over(weights, nonzero),
    },
    {
      name: "multiplications by weights that are not 0",
      float: prefixed(floatMacs),
      quantized: prefixed(effectiveMacs),
      ratio: over(floatMacs, effectiveMacs),
    },
    {
      name: `weights, smallest form: ${FORMATS[format]}`,
      float: bytes(4 * weights),
      quantized: bytes(storedBytes),
      ratio: over(4 * weights, storedBytes),
    },
  ];
}
