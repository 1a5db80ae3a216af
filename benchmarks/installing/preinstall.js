// Runs before the packages that quantbench depends on run installers of their own. That of onnxruntime-node would
// download its libraries for graphics processors, hundreds of megabytes from a host that is no package registry;
// nothing here uses them. It leaves alone what is there already, so that empty files in their places do.
// ONNXRUNTIME_NODE_INSTALL=cuda12 fetches them nevertheless.
import { closeSync, openSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const { resolve } = createRequire(import.meta.url);

/** Where onnxruntime-node is, or nothing: a checkout has no packages yet. */
function installed() {
  try {
    return dirname(resolve("onnxruntime-node/package.json"));
  } catch {
    return undefined;
  }
}

const folder = installed();
if (folder !== undefined && process.platform === "linux" && process.arch === "x64")
  for (const name of ["cuda", "shared", "tensorrt"]) {
    const library = `bin/napi-v6/linux/x64/libonnxruntime_providers_${name}.so`;
    closeSync(openSync(join(folder, library), "a"));
  }
