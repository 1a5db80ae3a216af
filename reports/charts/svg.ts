const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text that is inert in HTML and SVG. */
export const escapeMarkup = (text: string): string =>
  // Nearly all text has none of them, and looking is faster than replacing.
  /[&<>"']/.test(text) ? text.replace(/[&<>"']/g, (letter) => ENTITIES[letter] ?? letter) : text;

/** A coordinate, to a tenth of a pixel. */
export const at = (value: number): string => String(Math.round(value * 10) / 10);

export interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * A picture with its name. Colors come from the page's style sheet, by class, so that they follow
 * its theme.
 *
 * @param description what a reader who cannot see the picture is told
 */
export function picture(
  { width, height }: Size,
  { name, description }: { readonly name: string; readonly description: string },
  content: string,
): string {
  const label = escapeMarkup(`${name}. ${description}`);
  // The links of an image could not be reached by who hears it; a group's can.
  const role = content.includes("<a ") ? "group" : "img";
  return `<svg class="chart" viewBox="0 0 ${at(width)} ${at(height)}" width="${at(width)}" height="${at(height)}" role="${role}" aria-label="${label}">${content}</svg>`;
}

export function text(
  x: number,
  y: number,
  content: string,
  { anchor = "start", style = "" }: { anchor?: "start" | "middle" | "end"; style?: string } = {},
): string {
  const classes = style === "" ? "" : ` class="${style}"`;
  return `<text x="${at(x)}" y="${at(y)}" text-anchor="${anchor}"${classes}>${escapeMarkup(content)}</text>`;
}

export const line = (x1: number, y1: number, x2: number, y2: number, style: string): string =>
  `<path class="${style}" d="M${at(x1)} ${at(y1)}L${at(x2)} ${at(y2)}"/>`;
