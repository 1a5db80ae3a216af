import { exportTflite } from "../../export/index.js";
import type { Runtime } from "./runtime.js";

/** LiteRT, formerly TensorFlow Lite, with XNNPACK, compiled to WebAssembly: one thread. */
export const litert: Runtime = {
  name: "litert",
  title: "LiteRT (WebAssembly)",
  takesGroups: false,
  layout: "NHWC",
  loader: "litert",
  write: (frozen, { name, batch }) => exportTflite(frozen, name, { batch, proves: true }),
};
