import { exportIntegers, NoForm } from "../../export/index.js";
import type { Runtime } from "./runtime.js";

/**
 * The reference executor: the backend's own integer arithmetic, written out as elementary
 * operators, which onnxruntime runs without knowing that they are a quantized network.
 */
export const integers: Runtime = {
  name: "integers",
  title: "integer reference",
  takesGroups: false,
  layout: "NCHW",
  loader: "native",
  write(frozen, { name, arithmetic }) {
    if (arithmetic === undefined) throw new NoForm("the backend has no integer arithmetic");
    return { bytes: exportIntegers(frozen, name, arithmetic) };
  },
};
