import { integers } from "./integers.js";
import { litert } from "./litert.js";
import { onnxruntime } from "./onnxruntime.js";
import { onnxruntimeWeb } from "./onnxruntimeWeb.js";
import type { Runtime } from "./runtime.js";

/** Every program that executes networks here, the one that all cells run on first. */
export const runtimes: readonly Runtime[] = [onnxruntime, integers, onnxruntimeWeb, litert];

/** @throws RangeError listing what there is */
export function findRuntime(name: string): Runtime {
  const found = runtimes.find((runtime) => runtime.name === name);
  if (found === undefined)
    throw new RangeError(
      `no runtime "${name}"; there are ${runtimes.map((runtime) => runtime.name).join(", ")}`,
    );
  return found;
}
