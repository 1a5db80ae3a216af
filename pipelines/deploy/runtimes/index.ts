import type { BackendProfile } from "../../../backends/backend.js";
import { integers } from "./integers.js";
import { litert } from "./litert.js";
import { onnxruntime } from "./onnxruntime.js";
import { onnxruntimeWeb } from "./onnxruntimeWeb.js";
import type { Runtime } from "./runtime.js";

/** Every program that executes networks here, the one that all cells run on first. */
export const runtimes: readonly Runtime[] = [onnxruntime, integers, onnxruntimeWeb, litert];

/** The runtime that every cell is deployed on. */
export const FIRST_RUNTIME = onnxruntime.name;
/** The backend's own arithmetic, which is a reference and not a program that anyone ships. */
export const REFERENCE_RUNTIME = integers.name;

/** Names of the runtimes that a backend's cells run on. */
export const runtimesOf = ({ arithmetic, runtimes = [] }: BackendProfile): string[] => [
  FIRST_RUNTIME,
  ...(arithmetic === undefined ? [] : [REFERENCE_RUNTIME]),
  ...runtimes,
];

/** @throws RangeError listing what there is */
export function findRuntime(name: string): Runtime {
  const found = runtimes.find((runtime) => runtime.name === name);
  if (found === undefined)
    throw new RangeError(
      `no runtime "${name}"; there are ${runtimes.map((runtime) => runtime.name).join(", ")}`,
    );
  return found;
}
