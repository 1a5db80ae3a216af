import { deviceAccuracy } from "../results/device.js";
import type { CompletedCell } from "../results/schema.js";
import { algorithmOf, backendOf, bitsOf, groupBy, modelOf, questionOf } from "./cells.js";
import { scatterChart, type ScatterPoint } from "./charts/scatter.js";
import { latencyRatio } from "./decision/candidates.js";
import { energyOf } from "./energy.js";
import { prefixed } from "./format.js";
import { mean } from "./statistics/moments.js";
import { pageOf } from "./summary.js";

/** Kinds of cost that charts are made of; a cell that lacks one is not in that chart. */
const COSTS: readonly {
  readonly name: string;
  readonly label: string;
  readonly of: (cell: CompletedCell) => number | undefined;
  readonly format: (cost: number) => string;
}[] = [
  {
    name: "Size",
    label: "bytes of weights",
    of: ({ size }) => size.weightBytes,
    format: prefixed,
  },
  {
    name: "Arithmetic",
    label: "bit operations",
    of: ({ cost }) => cost.quantized.bitOps,
    format: prefixed,
  },
  {
    name: "Measured latency",
    label: "latency / float latency",
    of: latencyRatio,
    format: (cost) => String(Number(cost.toPrecision(2))),
  },
  {
    name: "Modelled energy",
    label: "microjoules per image",
    of: energyOf,
    format: prefixed,
  },
];

/** Accuracy against each kind of cost, for each network. */
export function costCharts(completed: readonly CompletedCell[]) {
  return [...groupBy(completed, modelOf)].map(([model, cells]) => ({
    model,
    pictures: COSTS.flatMap(({ name, label, of, format }) => {
      const groups = [...groupBy(cells, questionOf).values()];
      const places = groups.flatMap((group): ScatterPoint[] => {
        const [first] = group;
        const costs = group.flatMap((cell) => of(cell) ?? []);
        if (first === undefined || costs.length === 0) return [];
        return [
          {
            cost: mean(costs),
            worth: 100 * mean(group.map(deviceAccuracy)),
            label: `${algorithmOf(first)}, ${backendOf(first)}, ${bitsOf(first)}`,
            href: pageOf(first),
          },
        ];
      });
      const svg = scatterChart(places, {
        name: `${model}: accuracy against ${label}`,
        costLabel: label,
        worthLabel: "accuracy, %",
        formatCost: format,
      });
      return svg === "" ? [] : [{ name, svg }];
    }),
  }));
}
