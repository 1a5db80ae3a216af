import { exportOnnx } from "../../export/index.js";
import type { Runtime } from "./runtime.js";

/** onnxruntime's native library: one thread, its own graph optimizations. */
export const onnxruntime: Runtime = {
  name: "onnxruntime",
  title: "onnxruntime",
  takesGroups: true,
  layout: "NCHW",
  loader: "native",
  write: (frozen, { name }) => ({ bytes: exportOnnx(frozen, name) }),
};
