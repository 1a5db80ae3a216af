import { academic } from "./academic.js";
import { acl } from "./acl.js";
import type { BackendProfile } from "./backend.js";
import { fbgemm } from "./fbgemm.js";
import { litert } from "./litert.js";
import { nnie } from "./nnie.js";
import { onnxQnn } from "./onnxQnn.js";
import { onnxruntime } from "./onnxruntime.js";
import { openvino } from "./openvino.js";
import { pplCuda } from "./pplCuda.js";
import { pplW8A16 } from "./pplW8A16.js";
import { snpe } from "./snpe.js";
import { stpu } from "./stpu.js";
import { tengine } from "./tengine.js";
import { tensorrt } from "./tensorrt.js";
import { tvm } from "./tvm.js";
import { vitis } from "./vitis.js";

/** Every deployment backend, in the order of tables: the paper's six, the toolkit's, and those that run here. */
export const backends: readonly BackendProfile[] = [
  academic,
  tensorrt,
  acl,
  tvm,
  snpe,
  fbgemm,
  openvino,
  nnie,
  vitis,
  onnxQnn,
  tengine,
  pplW8A16,
  pplCuda,
  stpu,
  onnxruntime,
  litert,
];
