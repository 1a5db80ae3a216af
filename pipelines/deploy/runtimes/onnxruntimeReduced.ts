import { exportOnnx } from "../../export/index.js";
import { reducedRange } from "../../freeze/index.js";
import type { Runtime } from "./runtime.js";
import { onnxruntime } from "./onnxruntime.js";

/** onnxruntime with weights of 7 bits, which its fast kernels never saturate with. */
export const onnxruntimeReduced: Runtime = {
  ...onnxruntime,
  name: "onnxruntimeReduced",
  title: "onnxruntime, 7-bit weights",
  write: (frozen, { name }) => ({ bytes: exportOnnx(reducedRange(frozen), name) }),
};
