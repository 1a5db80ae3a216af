import { createHash } from "node:crypto";
import { canonicalize } from "json-canonicalize";

/**
 * SHA-256 of a value's canonical JSON (RFC 8785): the same for equal values, whatever the order
 * of their keys.
 *
 * @throws Error when the value holds NaN or infinity, which JSON cannot
 */
export function canonicalHash(value: unknown): string {
  return createHash("sha256").update(canonicalize(value)).digest("hex");
}
