import { deviceAccuracy } from "../results/device.js";
import type { CompletedCell } from "../results/schema.js";
import {
  algorithmOf,
  backendOf,
  bitsOf,
  groupBy,
  modelOf,
  questionOf,
  weightBytesOf,
} from "./cells.js";
import { scatterChart, type ScatterPoint } from "./charts/scatter.js";
import { latencyRatio } from "./decision/candidates.js";
import { energyOf } from "./energy.js";
import { prefixed } from "./format.js";
import { modelledCost, type Modelled } from "./modelledCost.js";
import { mean } from "./statistics/moments.js";
import { pageOf } from "./summary.js";

/** A kind of cost that a chart is made of; a cell that lacks it is not in that chart. */
interface Cost {
  readonly name: string;
  readonly label: string;
  readonly of: (cell: CompletedCell) => number | undefined;
  readonly format: (cost: number) => string;
}

const COSTS: readonly Cost[] = [
  {
    name: "Size",
    label: "bytes of weights",
    of: weightBytesOf,
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

/** What hardware models say of an image. */
const MODELLED: readonly {
  readonly label: string;
  readonly of: (cost: Modelled) => number | undefined;
}[] = [
  { label: "cycles", of: ({ cycles }) => cycles },
  { label: "microjoules", of: ({ microjoules }) => microjoules },
  { label: "microjoules × milliseconds", of: ({ mapping }) => mapping?.energyDelay },
];

/** Accuracy against each kind of cost, for each network; and against what each hardware model says. */
export function costCharts(completed: readonly CompletedCell[]) {
  return [...groupBy(completed, modelOf)].map(([model, cells]) => ({
    model,
    pictures: chartsOf(model, cells, COSTS),
    modelled: chartsOf(model, cells, modelledCosts(cells)),
  }));
}

function modelledCosts(cells: readonly CompletedCell[]): readonly Cost[] {
  const names = new Set(cells.flatMap(({ cost }) => Object.keys(cost.quantized.hardware)));
  return [...names].flatMap((name) =>
    MODELLED.map(({ label, of }) => ({
      ...{ name, label: `${label} on ${name}`, format: prefixed },
      of: ({ cost }: CompletedCell) => modelledCost(cost.quantized, name, of),
    })),
  );
}

/** Charts of the costs that there are. */
function chartsOf(model: string, cells: readonly CompletedCell[], costs: readonly Cost[]) {
  const groups = [...groupBy(cells, questionOf).values()];
  return costs.flatMap(({ name, label, of, format }) => {
    const places = groups.flatMap((group): ScatterPoint[] => {
      const [first] = group;
      const found = group.flatMap((cell) => of(cell) ?? []);
      if (first === undefined || found.length === 0) return [];
      return [
        {
          cost: mean(found),
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
  });
}
