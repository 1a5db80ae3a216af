import { createRequire } from "node:module";
import { ENGINE_NAMES, type EngineName } from "./engine.js";

const require = createRequire(import.meta.url);

/** What each engine runs on, if not on its own kernels; the first that is installed is taken. */
export const ENGINE_PACKAGES: Readonly<Record<EngineName, readonly string[]>> = {
  onnxruntime: ["onnxruntime-node"],
  portable: [],
  "tfjs-node": ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"],
  tfjs: ["@tensorflow/tfjs-core"],
};

/** The package that an engine runs on here, with its version, without loading it. */
export function installedPackage(
  engine: EngineName,
): { readonly name: string; readonly version: string } | undefined {
  for (const name of ENGINE_PACKAGES[engine]) {
    try {
      const { version } = require(`${name}/package.json`) as { readonly version: string };
      return { name, version };
    } catch {
      continue; // not installed
    }
  }
  return undefined;
}

/** Versions of the engines that are installed, read without loading them. */
export function engineVersions(): Record<string, string> {
  const versions: Record<string, string> = {};
  for (const engine of ENGINE_NAMES) {
    const installed = installedPackage(engine);
    if (installed) versions[engine] = installed.version;
  }
  return versions;
}
