import { fingerprint } from "../../pipelines/conformance/index.js";
import type { CellConfig, Variant } from "../../results/schema.js";
import { algorithmOf } from "./cellParts.js";

/**
 * How cells name their algorithm: with its version, which says what is meant to change results, and
 * a hash of what it computes, so that a change nobody meant is no stale result either.
 */
export async function identifyAlgorithm(
  name: string,
  variant?: Variant,
): Promise<CellConfig["algorithm"]> {
  const algorithm = algorithmOf(name, variant);
  const computes = await fingerprint(algorithm).catch((error: unknown) => {
    const { message } = error as Error;
    throw new Error(`algorithm "${name}" cannot be recorded: ${message}`, { cause: error });
  });
  return { name, version: algorithm.version, computes };
}
