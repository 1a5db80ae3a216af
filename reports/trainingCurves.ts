import type { CompletedCell } from "../results/schema.js";
import { algorithmOf, backendOf, bitsOf, groupBy, modelOf } from "./cells.js";
import { linesChart } from "./charts/lines.js";
import { mean } from "./statistics/moments.js";

/** Points of a curve: neighbors are averaged, since losses of single batches hide the trend. */
const POINTS = 24;

/** Losses of trainings of the same place and seed, over one another; the lowest seed of each place. */
export function trainingCurves(completed: readonly CompletedCell[]) {
  const trained = completed.filter(({ batchAccuracies }) => batchAccuracies.length > POINTS);
  const places = groupBy(trained, (cell) =>
    [modelOf(cell), backendOf(cell), bitsOf(cell)].join(", "),
  );
  return [...places].flatMap(([place, cells]) => {
    const lowest = Math.min(...cells.map(({ config }) => config.seed));
    const seeds = cells.filter(({ config }) => config.seed === lowest);
    if (seeds.length < 2) return [];
    const picture = (name: string, label: string, of: (cell: CompletedCell) => readonly number[]) =>
      linesChart(
        seeds.map((cell) => ({ name: algorithmOf(cell), points: smoothed(of(cell)) })),
        { name: `${place}: ${name}`, x: { label: "step" }, y: { label } },
      );
    return [
      {
        place: `${place}, seed ${String(lowest)}`,
        loss: picture("loss of training", "loss", ({ losses }) => losses),
        accuracy: picture("accuracy of training", "accuracy on batches, %", (cell) =>
          cell.batchAccuracies.map((share) => 100 * share),
        ),
      },
    ];
  });
}

function smoothed(values: readonly number[]): (readonly [number, number])[] {
  const bin = Math.ceil(values.length / POINTS);
  return Array.from({ length: Math.ceil(values.length / bin) }, (_, i) => {
    const part = values.slice(i * bin, (i + 1) * bin);
    return [i * bin + (part.length + 1) / 2, mean(part)];
  });
}
