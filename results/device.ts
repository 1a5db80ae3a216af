import type { RuntimeResult } from "./runtimeSchema.js";

/** The runtime that every cell runs on, whose accuracy is the one called deployed. */
export const FIRST_RUNTIME = "onnxruntime";
/** The backend's own arithmetic, written out as an integer graph. */
export const INTEGER_REFERENCE = "integers";

/** Runtimes that compute a variant of the network, whose losses are not the deployment's. */
export const isVariant = (runtime: string): boolean => runtime === "onnxruntimeReduced";

export type ExecutedRuntime = Extract<RuntimeResult, { accuracy: number }>;
export const isExecuted = (result: RuntimeResult | undefined): result is ExecutedRuntime =>
  result !== undefined && "accuracy" in result;

/**
 * The runtime that computes most nearly what a cell's device does: the program that the backend is
 * named after, else the backend's arithmetic written out in integers, else onnxruntime.
 */
export function deviceRuntime(
  backend: string,
  runtimes: Readonly<Record<string, RuntimeResult>>,
): string {
  const known = [backend, INTEGER_REFERENCE].find((name) => isExecuted(runtimes[name]));
  return known ?? FIRST_RUNTIME;
}

/** Accuracy in the backend's own arithmetic where it is known, else on onnxruntime. */
export function deviceAccuracy({
  accuracy,
  config,
  runtimes,
}: {
  readonly accuracy: { readonly deployed: number };
  readonly config: { readonly backend: { readonly name: string } };
  readonly runtimes: Readonly<Record<string, RuntimeResult>>;
}): number {
  const result = runtimes[deviceRuntime(config.backend.name, runtimes)];
  return isExecuted(result) ? result.accuracy : accuracy.deployed;
}
