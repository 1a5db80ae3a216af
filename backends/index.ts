import { academic } from "./academic.js";
import type { BackendProfile } from "./backend.js";
import { onnxruntime } from "./onnxruntime.js";
import { snpe } from "./snpe.js";
import { tensorrt } from "./tensorrt.js";
import { tvm } from "./tvm.js";

/** Every deployment backend, in the order of tables. */
export const backends: readonly BackendProfile[] = [academic, tensorrt, snpe, tvm, onnxruntime];
