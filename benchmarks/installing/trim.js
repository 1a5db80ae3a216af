// Removes from a checkout's node_modules what packages bring for other platforms and for browsers: half of all,
// and nothing that is loaded here. A package that is not as expected is left as it is.
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join, sep } from "node:path";

const HERE = `${process.platform}/${process.arch}/`;

/** By folder, whether one of its files stays. */
const NEEDED = {
  "onnxruntime-node/bin/napi-v6": (file) => file.startsWith(HERE),
  "onnxruntime-web/dist": (file) =>
    /^ort(\.node\.min|-wasm-simd-threaded)\.(mjs|js|wasm)$/.test(file),
  "@litertjs/core/wasm": (file) => file.startsWith("litert_wasm_compat_internal."),
  "@tensorflow/tfjs-core/dist": (file) => !/^tf-core\.(?!node\.js$)|\.map$/.test(file),
  "@tensorflow/tfjs-backend-cpu/dist": (file) =>
    !/^tf-backend-cpu\.(?!node\.js$)|\.map$/.test(file),
};

let bytes = 0;
for (const [name, isNeeded] of Object.entries(NEEDED)) {
  const folder = join(import.meta.dirname, "../../node_modules", name);
  if (!existsSync(folder)) continue;
  const files = readdirSync(folder, { recursive: true }).map((file) => file.replaceAll(sep, "/"));
  // A layout of another version, or no build for this platform.
  if (!files.some(isNeeded)) continue;
  for (const file of files) {
    const path = join(folder, file);
    if (isNeeded(file) || statSync(path).isDirectory()) continue;
    bytes += statSync(path).size;
    rmSync(path);
  }
}
if (bytes > 0)
  console.log(`removed ${String(Math.round(bytes / 1e6))} MB for other platforms and browsers`);
