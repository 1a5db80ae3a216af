import { createHash } from "node:crypto";

/** An inline script, as a policy names it. */
export const sourceOf = (script: string): string =>
  `'sha256-${createHash("sha256").update(script).digest("base64")}'`;

/**
 * What a page may do, should markup of somebody else ever get into it: run its own script or those of the
 * report, show its styles, and nothing else; above all, load nothing from elsewhere and send nothing.
 *
 * @param inlineScript the script that the page holds itself, if it holds one
 * @see https://www.w3.org/TR/CSP3/
 */
export function contentPolicy(inlineScript: string | undefined): string {
  return [
    "default-src 'none'",
    `script-src ${inlineScript === undefined ? "'self'" : sourceOf(inlineScript)}`,
    "style-src 'self' 'unsafe-inline'", // shares of bars are attributes
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}
