import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import Handlebars from "handlebars";

const { resolve } = createRequire(import.meta.url);
const read = (name: string): Promise<string> =>
  readFile(resolve(`#package/reports/${name}`), "utf8");

/** A page as a function of what it shows; what the template names and does not get is an error. */
export async function template(name: string): Promise<(view: object) => string> {
  // Indentation is for who edits the template; in thousands of pages it would be most of them.
  const source = (await read(name)).replace(/^\s+/gm, "");
  return Handlebars.compile(source, { strict: true, knownHelpersOnly: true });
}

/** What all pages look like and do in a browser. */
export async function browserFiles(): Promise<{ readonly style: string; readonly script: string }> {
  return { style: await read("style.css"), script: await read("browser.js") };
}
