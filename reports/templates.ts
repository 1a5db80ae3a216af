import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import Handlebars from "handlebars";
import { contentPolicy } from "./contentPolicy.js";
import { inert } from "./inert.js";

const { resolve } = createRequire(import.meta.url);
const read = (name: string): Promise<string> =>
  readFile(resolve(`#package/reports/${name}`), "utf8");

/**
 * A page as a function of what it shows; what the template names and does not get is an error.
 *
 * @param inlineScript the script that the page holds itself, if it holds one
 */
export async function template(
  name: string,
  inlineScript?: string,
): Promise<(view: object) => string> {
  // Indentation is for who edits the template; in thousands of pages it would be most of them.
  const source = (await read(name)).replace(/^\s+/gm, "");
  const render = Handlebars.compile<object>(source, { strict: true, knownHelpersOnly: true });
  const policy = contentPolicy(inlineScript);
  return (view) => inert(render({ ...view, policy }));
}

/** Parts of the pages' script, in the order in which they build on each other. */
const SCRIPTS = ["theme", "sorting", "cells", "saving", "dialog", "histograms"];

/** What all pages look like and do in a browser. */
export async function browserFiles(): Promise<{
  readonly style: string;
  readonly script: string;
  /** Of the page of two cells, after the script of all. */
  readonly sideBySide: string;
}> {
  const scripts = await Promise.all(SCRIPTS.map((name) => read(`browser/${name}.js`)));
  return {
    style: await read("style.css"),
    script: scripts.join("\n"),
    sideBySide: await read("browser/sideBySide.js"),
  };
}
