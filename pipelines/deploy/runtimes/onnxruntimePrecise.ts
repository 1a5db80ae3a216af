import { preciseKernels } from "../preciseKernels.js";
import type { Runtime } from "./runtime.js";
import { onnxruntime } from "./onnxruntime.js";

/** onnxruntime told to compute the same sums on every processor, at what that costs in time. */
export const onnxruntimePrecise: Runtime = {
  ...onnxruntime,
  name: "onnxruntimePrecise",
  title: "onnxruntime, precise kernels",
  write: (frozen, options) => ({
    ...onnxruntime.write(frozen, options),
    kernels: preciseKernels(frozen),
  }),
};
