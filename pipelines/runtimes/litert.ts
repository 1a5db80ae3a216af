import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { runInThisContext } from "node:vm";
import { exportTflite } from "../tflite/exportTflite.js";
import type { Runtime } from "./runtime.js";

/** LiteRT, formerly TensorFlow Lite, with XNNPACK, compiled to WebAssembly: one thread. */
export const litert: Runtime = {
  name: "litert",
  title: "LiteRT (WebAssembly)",
  layout: "NHWC",
  write(frozen, { name, batch }) {
    const { bytes, operators } = exportTflite(frozen, name, { batch });
    return { bytes, operators, batch };
  },
  async load(model, [channels = 1, height = 1, width = 1]) {
    library ??= loadLibrary();
    const { loadAndCompile, Tensor } = await library;
    const compiled = await loadAndCompile(model, { accelerator: "wasm" });
    return {
      async infer(images, batch) {
        const input = new Tensor(images, [batch, height, width, channels]);
        const [output] = await compiled.run(input);
        input.delete();
        if (output === undefined) throw new Error("the model gave no output");
        const logits = Float32Array.from((await output.data()) as Float32Array);
        output.delete();
        return logits;
      },
    };
  },
};

const require = createRequire(import.meta.url);
// The build for relaxed SIMD is faster, but its results depend on the processor.
const WASM = join(
  dirname(require.resolve("@litertjs/core/package.json")),
  "wasm",
  "litert_wasm_compat_internal.js",
);

let library: ReturnType<typeof loadLibrary> | undefined;

/** The library is made for web workers, whose globals it expects: its process gets them. */
async function loadLibrary(): Promise<typeof import("@litertjs/core")> {
  Object.assign(globalThis, {
    self: globalThis,
    navigator: { hardwareConcurrency: 1 },
    require,
    __dirname: dirname(WASM),
    __filename: WASM,
    importScripts: (file: string) =>
      runInThisContext(readFileSync(file, "utf8"), { filename: file }) as unknown,
  });
  const loaded = await import("@litertjs/core");
  await loaded.loadLiteRt(WASM);
  return loaded;
}
