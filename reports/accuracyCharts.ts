import { deviceAccuracy } from "../results/device.js";
import type { CompletedCell } from "../results/schema.js";
import { algorithmOf, backendOf, bitsOf, groupBy, modelOf, unique } from "./cells.js";
import { dotChart } from "./charts/dots.js";
import { linesChart } from "./charts/lines.js";
import { mean, meanMargin } from "./statistics/moments.js";
import { pageOf, type AccuracyTable } from "./summary.js";

/** Fewer values are as well read from the table. */
const FEWEST_DOTS = 4;
/** The normal distribution's 97.5 % quantile. */
const NORMAL_QUANTILE = 1.96;

/** The values of a table with one column as a sorted plot with intervals; else nothing. */
export function dotPlotOf({ model, bits, backends, rows }: AccuracyTable): string {
  const [backend] = backends;
  const groups = rows.flatMap(({ entries }) => entries.map(({ cells }) => cells));
  const dots = groups.flatMap((cells) => {
    const [first] = cells;
    return first === undefined ? [] : [dotOf(first, cells)];
  });
  if (backend === undefined || backends.length > 1 || dots.length < FEWEST_DOTS) return "";
  const name = `${model}, ${bits}, ${backend}: accuracy by algorithm`;
  return dotChart(dots, { name, label: "accuracy, %, with 95 %" });
}

/** By the spread of seeds; with one, by the test images alone. */
function dotOf(first: CompletedCell, cells: readonly CompletedCell[]) {
  const accuracies = cells.map(deviceAccuracy);
  const value = mean(accuracies);
  const margin =
    meanMargin(accuracies) ?? NORMAL_QUANTILE * Math.sqrt((value * (1 - value)) / first.testImages);
  return {
    label: algorithmOf(first),
    value: 100 * value,
    margin: 100 * margin,
    href: pageOf(first),
  };
}

/** What is so far below the best is drawn at the lower edge. */
const SHOWN_POINTS = 30;

/** Accuracy against bits, a line for each algorithm that has several widths on a backend. */
export function bitCharts(completed: readonly CompletedCell[]) {
  return [...groupBy(completed, modelOf)].flatMap(([model, ofModel]) => {
    const pictures = [...groupBy(ofModel, backendOf)].flatMap(([name, cells]) => {
      const svg = bitChart(`${model} on ${name}: accuracy against bits`, cells);
      return svg === "" ? [] : [{ name, svg }];
    });
    return pictures.length === 0 ? [] : [{ model, pictures }];
  });
}

const sumOfBits = ({ config: { bits } }: CompletedCell): number =>
  1000 * bits.weights + bits.activations;

function bitChart(name: string, cells: readonly CompletedCell[]): string {
  const widths = unique(cells.toSorted((a, b) => sumOfBits(a) - sumOfBits(b)).map(bitsOf));
  const series = [...groupBy(cells, algorithmOf)].map(([algorithm, own]) => ({
    name: algorithm,
    points: widths.flatMap((width, i) => {
      const here = own.filter((cell) => bitsOf(cell) === width);
      return here.length === 0 ? [] : [[i, 100 * mean(here.map(deviceAccuracy))] as const];
    }),
  }));
  // One width is no line, and one line between two widths is two numbers.
  const lines = series.filter(({ points }) => points.length > 1);
  if (lines.length === 0 || lines.length + widths.length < 4) return "";
  const best = Math.max(...lines.flatMap(({ points }) => points.map(([, value]) => value)));
  return linesChart(
    lines.toSorted((a, b) => (b.points.at(-1)?.[1] ?? 0) - (a.points.at(-1)?.[1] ?? 0)),
    {
      name,
      x: { label: "bits", format: (value) => widths[value] ?? "" },
      y: { label: "accuracy, %" },
      marked: true,
      lowest: best - SHOWN_POINTS,
    },
  );
}
