import type { BackendProfile } from "../../../backends/backend.js";
import type { FrozenNetwork } from "../../freeze/index.js";
import { preciseKernels } from "../preciseKernels.js";
import type { Kernels } from "../../session.js";
import { integers } from "./integers.js";
import { litert } from "./litert.js";
import { onnxruntime } from "./onnxruntime.js";
import { onnxruntimePrecise } from "./onnxruntimePrecise.js";
import { onnxruntimeReduced } from "./onnxruntimeReduced.js";
import { onnxruntimeWeb } from "./onnxruntimeWeb.js";
import type { Runtime } from "./runtime.js";

/** Every program that executes networks here, the one that all cells run on first. */
export const runtimes: readonly Runtime[] = [
  onnxruntime,
  onnxruntimePrecise,
  onnxruntimeReduced,
  integers,
  onnxruntimeWeb,
  litert,
];

/** The runtime that every cell is deployed on. */
export const FIRST_RUNTIME = onnxruntime.name;
/** The backend's own arithmetic, which is a reference and not a program that anyone ships. */
export const REFERENCE_RUNTIME = integers.name;
/** What users of processors do whose 8-bit kernels saturate. */
export const WAYS_AROUND_SATURATION = [onnxruntimePrecise.name, onnxruntimeReduced.name];

/**
 * Whether onnxruntime only stands in for a backend's device, and must not add its own errors. The
 * profile that is named after it gets what its users get.
 */
const isStandIn = ({ name }: BackendProfile): boolean => name !== FIRST_RUNTIME;

/** How onnxruntime computes a backend's network. */
export const kernelsOf = (backend: BackendProfile, frozen: FrozenNetwork): Kernels =>
  isStandIn(backend) ? preciseKernels(frozen) : "shipped";

/** The runtimes that a backend's cells run on, onnxruntime with the kernels that it has there. */
export function runtimesOf(backend: BackendProfile): Runtime[] {
  const { arithmetic, runtimes: own = [] } = backend;
  const first = isStandIn(backend) ? standIn : onnxruntime;
  return [first, ...(arithmetic === undefined ? [] : [integers]), ...own.map(findRuntime)];
}

/** Results of all cells have their first runtime under one name. */
const standIn: Runtime = { ...onnxruntimePrecise, name: FIRST_RUNTIME };

/** @throws RangeError listing what there is */
export function findRuntime(name: string): Runtime {
  const found = runtimes.find((runtime) => runtime.name === name);
  if (found === undefined)
    throw new RangeError(
      `no runtime "${name}"; there are ${runtimes.map((runtime) => runtime.name).join(", ")}`,
    );
  return found;
}
