import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { loadedPlugins } from "../plugins/index.js";
import { packageVersion } from "../running/index.js";

const root = join(dirname(createRequire(import.meta.url).resolve("#package/package.json")), "dist");

/**
 * The program that computes, as machines compare it: its version and a hash of its compiled files and of the
 * plugins. Jobs are data: only a machine that has the same program can compute them.
 */
export async function codeVersion(): Promise<string> {
  const hash = createHash("sha256");
  const files = (await readdir(root, { recursive: true }))
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => /\.(?:js|wasm)$/.test(file));
  for (const file of files.toSorted())
    hash.update(`${file}\n`).update(await readFile(join(root, file)));
  const plugins = loadedPlugins().toSorted((a, b) => (basename(a) < basename(b) ? -1 : 1));
  for (const plugin of plugins) hash.update(`${basename(plugin)}\n`).update(await readFile(plugin));
  return `${packageVersion}+${hash.digest("hex").slice(0, 12)}`;
}
