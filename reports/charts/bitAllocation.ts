import { groupBy } from "../cells.js";
import { at, escapeMarkup, picture, text } from "./svg.js";

export interface LayerBits {
  readonly layer: string;
  /** Width of each channel; one number where all are equal. */
  readonly bits: readonly number[];
}

const BAR_HEIGHT = 14;
const ROW = 20;
const LABEL = 150;
const BARS = 280;
const WIDTH = 460;

/** Which widths a mixed-precision algorithm gave to the channels of each layer. */
export function bitAllocationChart(layers: readonly LayerBits[], name: string): string {
  const size = { width: WIDTH, height: layers.length * ROW + 8 };
  const rows = layers.map(({ layer, bits }, i) => {
    const y = i * ROW + 6;
    let x = LABEL;
    const parts = [...groupBy(bits, String)]
      .sort(([a], [b]) => Number(a) - Number(b))
      .map(([width, channels]) => {
        const share = (BARS * channels.length) / bits.length;
        const rect = `<rect class="bits bits${width}" x="${at(x)}" y="${at(y)}" width="${at(share)}" height="${String(BAR_HEIGHT)}"><title>${escapeMarkup(layer)}: ${String(channels.length)} of ${String(bits.length)} channels have ${width} bits</title></rect>`;
        const label =
          share > 14
            ? text(x + share / 2, y + 11, width, { anchor: "middle", style: "onBar" })
            : "";
        x += share;
        return rect + label;
      });
    return text(LABEL - 6, y + 11, layer, { anchor: "end" }) + parts.join("");
  });
  const description = layers
    .map(
      ({ layer, bits }) => `${layer} ${(bits.reduce((a, b) => a + b, 0) / bits.length).toFixed(1)}`,
    )
    .join(", ");
  return picture(size, { name, description: `Mean bits: ${description}` }, rows.join(""));
}
