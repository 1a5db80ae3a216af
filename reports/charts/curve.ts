import { mean } from "../statistics/moments.js";
import { pathOf, plane } from "./axes.js";
import { picture } from "./svg.js";

const SIZE = { width: 460, height: 240 } as const;
/** More points than this cannot be seen; neighbours are averaged. */
const MOST_POINTS = 75;

/** One value for each step. */
export function curveChart(
  values: readonly number[],
  { name, label, from }: { readonly name: string; readonly label: string; readonly from?: number },
): string {
  const bin = Math.ceil(values.length / MOST_POINTS);
  const points = Array.from({ length: Math.ceil(values.length / bin) }, (_, i) => {
    const part = values.slice(i * bin, (i + 1) * bin);
    return [i * bin + (part.length + 1) / 2, mean(part)] as const;
  });
  const heights = points.map(([, value]) => value);
  const [low, high] = [Math.min(...heights), Math.max(...heights)];
  const { x, y, drawn } = plane(
    SIZE,
    { label: "step", domain: [1, Math.max(2, values.length)] },
    { label, domain: [Math.min(low, from ?? low), high] },
  );
  const curve = pathOf(points.map(([step, value]) => [x(step), y(value)]));
  const [first = NaN, last = NaN] = [heights[0], heights.at(-1)];
  return picture(
    SIZE,
    { name, description: `from ${first.toPrecision(3)} to ${last.toPrecision(3)}` },
    `${drawn}<path class="curve" d="${curve}"/>`,
  );
}
