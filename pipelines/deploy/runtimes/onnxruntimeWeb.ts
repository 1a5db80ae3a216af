import type { Runtime } from "./runtime.js";
import { onnxruntime } from "./onnxruntime.js";

/** onnxruntime compiled to WebAssembly, as web pages run it: one thread. */
export const onnxruntimeWeb: Runtime = {
  ...onnxruntime,
  name: "onnxruntimeWeb",
  title: "onnxruntime-web (WebAssembly)",
  loader: "web",
};
