import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { algorithms } from "../../algorithms/index.js";
import { backends } from "../../backends/index.js";
import { datasets } from "../datasets/index.js";
import { models } from "../models/index.js";
import type { Plugin } from "./plugin.js";
import { pluginSchema } from "./schema.js";

interface Named {
  readonly name: string;
}

// The lists are constants for everybody else; a plugin is loaded before anything reads them.
const LISTS: { readonly [K in keyof Required<Plugin>]: Named[] } = {
  algorithms: algorithms as unknown as Named[],
  backends: backends as unknown as Named[],
  models: models as unknown as Named[],
  datasets: datasets as unknown as Named[],
};

const loaded = new Set<string>();

/** Paths of the plugins of this process, for those that it starts. */
export const loadedPlugins = (): string[] => [...loaded];

/**
 * Imports modules and adds what they offer to the lists; each once.
 *
 * @param paths of JavaScript files, from the working directory
 * @throws Error naming the file, the entry and what is wrong with it
 */
export async function loadPlugins(paths: readonly string[]): Promise<void> {
  for (const path of paths.map((given) => resolve(given))) {
    if (loaded.has(path)) continue;
    loaded.add(path);
    add(await read(path), path);
  }
}

async function read(path: string): Promise<Plugin> {
  const module: unknown = await import(pathToFileURL(path).href).catch((error: unknown) => {
    const { message, code } = error as NodeJS.ErrnoException;
    const hint =
      code === "ERR_MODULE_NOT_FOUND" && message.includes("'quantbench'")
        ? "; install quantbench beside it: npm install quantbench"
        : "";
    throw new Error(`cannot load the plugin ${path}: ${message}${hint}`, { cause: error });
  });
  const { default: plugin } = module as { default?: unknown };
  if (plugin === undefined)
    throw new Error(`the plugin ${path} has no default export; it gives { algorithms: [...] }`);
  const parsed = pluginSchema.safeParse(plugin);
  if (parsed.success) return plugin as Plugin; // as it is, with what the schema does not know
  const [issue] = parsed.error.issues;
  throw new Error(
    `the plugin ${path}: ${placeOf(plugin, issue?.path ?? [])}${issue?.message ?? "is not valid"}`,
  );
}

/** "algorithms mine: weight.observe: ", where the entry has a name. */
function placeOf(plugin: unknown, [list, index, ...keys]: readonly PropertyKey[]): string {
  if (list === undefined) return "";
  const entries = (plugin as Record<PropertyKey, unknown>)[list];
  const entry = Array.isArray(entries) ? (entries[Number(index)] as Partial<Named>) : undefined;
  const name = index === undefined ? "" : ` ${String(entry?.name ?? index)}`;
  return `${String(list)}${name}: ${keys.length > 0 ? `${keys.map(String).join(".")}: ` : ""}`;
}

function add(plugin: Plugin, path: string): void {
  for (const [list, known] of Object.entries(LISTS) as [keyof Plugin, Named[]][]) {
    for (const entry of plugin[list] ?? []) {
      if (known.some(({ name }) => name === entry.name))
        throw new Error(
          `the plugin ${path}: ${list} has "${entry.name}" already; choose another name`,
        );
      known.push(entry);
    }
  }
}
