import { plane } from "./axes.js";
import { at, escapeMarkup, picture, text } from "./svg.js";

export interface LayerError {
  readonly id: string;
  readonly weight: boolean;
  /** Decibel; null where quantization changes nothing. */
  readonly sqnr: number | null;
}

const SIZE = { width: 620, height: 260 } as const;

/**
 * Quantization error of every tensor in the order of the network: its power over that of the
 * values, in decibel, so that what is higher is worse.
 */
export function layerErrorChart(layers: readonly LayerError[], name: string): string {
  const changed = layers.flatMap(({ sqnr, ...layer }, i) =>
    sqnr === null ? [] : [{ ...layer, place: i + 1, error: -sqnr }],
  );
  if (changed.length === 0) return "";
  const errors = changed.map(({ error }) => error);
  const { x, y, drawn } = plane(
    SIZE,
    { label: "tensor, in the order of the network", domain: [1, Math.max(2, layers.length)] },
    {
      label: "error / signal, dB",
      domain: [Math.min(...errors), Math.max(...errors)],
    },
  );
  const marks = changed.map(({ id, weight, place, error }) => {
    const title = `<title>${escapeMarkup(id)}: ${error.toFixed(1)} dB</title>`;
    const [px, py] = [x(place), y(error)];
    return weight
      ? `<rect class="series1 mark" x="${at(px - 4)}" y="${at(py - 4)}" width="8" height="8">${title}</rect>`
      : `<circle class="series0" cx="${at(px)}" cy="${at(py)}" r="4.5">${title}</circle>`;
  });
  const worst = changed.toSorted((a, b) => b.error - a.error).slice(0, 3);
  const names = worst.map(({ id, place, error }) => {
    const left = x(place) > SIZE.width / 2;
    return text(x(place) + (left ? -8 : 8), y(error) + 4, id, { anchor: left ? "end" : "start" });
  });
  return picture(
    SIZE,
    {
      name,
      description: `The largest: ${worst.map(({ id, error }) => `${id} ${error.toFixed(1)} dB`).join(", ")}`,
    },
    drawn + marks.join("") + names.join(""),
  );
}
