import { scaleLinear, scaleLog } from "d3-scale";
import { line, text, type Size } from "./svg.js";

const MARGIN = { top: 12, right: 16, bottom: 40, left: 52 } as const;
/** Pixels that a label needs beside its neighbour. */
const TICK_SPACING = { x: 70, y: 40 } as const;

export interface AxisOptions {
  readonly label: string;
  readonly domain: readonly [number, number];
  readonly logarithmic?: boolean;
  readonly format?: (value: number) => string;
}

export interface Plane {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
  /** Grid, ticks and labels. */
  readonly drawn: string;
}

/** Two axes, with places for values. */
export function plane({ width, height }: Size, xAxis: AxisOptions, yAxis: AxisOptions): Plane {
  const [left, right] = [MARGIN.left, width - MARGIN.right];
  const [top, bottom] = [MARGIN.top, height - MARGIN.bottom];
  const x = axis(xAxis, [left, right]);
  const y = axis(yAxis, [bottom, top]);
  const parts = [
    ...apart(ticksOf(x, xAxis, (right - left) / TICK_SPACING.x), x).map(
      ([value, label]) =>
        line(x(value), top, x(value), bottom, "grid") +
        text(x(value), bottom + 16, label, { anchor: "middle" }),
    ),
    ...ticksOf(y, yAxis, (bottom - top) / TICK_SPACING.y).map(
      ([value, label]) =>
        line(left, y(value), right, y(value), "grid") +
        text(left - 6, y(value) + 4, label, { anchor: "end" }),
    ),
    text((left + right) / 2, height - 6, xAxis.label, { anchor: "middle", style: "axis" }),
    `<g transform="rotate(-90)">${text(-(top + bottom) / 2, 12, yAxis.label, { anchor: "middle", style: "axis" })}</g>`,
  ];
  return { x, y, drawn: parts.join("") };
}

type Scale = ReturnType<typeof axis>;

/** Room that a domain without extent gets on each side: a part of it, or a unit. */
const WIDENING = { logarithmic: 1.5, linear: 0.5 } as const;
/** The outermost points of a logarithmic axis stay off its ends by this factor. */
const LOGARITHMIC_PADDING = 1.1;

function axis({ domain: [low, high], logarithmic = false }: AxisOptions, range: [number, number]) {
  if (logarithmic) {
    const factor = low === high ? WIDENING.logarithmic : LOGARITHMIC_PADDING;
    return scaleLog([low / factor, high * factor], range);
  }
  const widening = low === high ? WIDENING.linear : 0;
  return scaleLinear([low - widening, high + widening], range).nice();
}

function ticksOf(scale: Scale, options: AxisOptions, room: number): [number, string][] {
  const count = Math.max(2, Math.floor(room));
  const { format = scale.tickFormat(count) } = options;
  const values = options.logarithmic
    ? logarithmicTicks(scale.domain() as [number, number], count)
    : scale.ticks(count);
  return values
    .map((value): [number, string] => [value, format(value)])
    .filter(([, label]) => label !== "");
}

/** Pixels between the middles of neighbouring labels, at least. */
const LABEL_DISTANCE = 44;

/** Ticks whose labels do not touch: on a logarithmic axis equal steps come closer and closer. */
function apart(
  ticks: readonly [number, string][],
  x: (value: number) => number,
): [number, string][] {
  let last = -Infinity;
  return ticks.filter(([value]) => {
    const fits = x(value) - last >= LABEL_DISTANCE;
    if (fits) last = x(value);
    return fits;
  });
}

/** Round values of a logarithmic axis: decades, or with 2 and 5 between them, as many as fit. */
export function logarithmicTicks([low, high]: readonly [number, number], count: number): number[] {
  const decades = Array.from(
    { length: Math.ceil(Math.log10(high)) - Math.floor(Math.log10(low)) + 1 },
    (_, i) => 10 ** (Math.floor(Math.log10(low)) + i),
  );
  const choices = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1, 3], [1]].map((factors) =>
    decades
      .flatMap((decade) => factors.map((factor) => factor * decade))
      .filter((value) => value >= low && value <= high),
  );
  const fitting = choices.find((ticks) => ticks.length <= count) ?? choices.at(-1) ?? [];
  // Within one decade there may be no round value: equal steps are as good there.
  return fitting.length >= 2 ? fitting : scaleLinear([low, high], [0, 1]).ticks(count);
}

/** A line through points, on whole pixels. */
export const pathOf = (points: readonly (readonly [number, number])[]): string =>
  points
    .map(([x, y], i) => `${i === 0 ? "M" : "L"}${String(Math.round(x))} ${String(Math.round(y))}`)
    .join("");
