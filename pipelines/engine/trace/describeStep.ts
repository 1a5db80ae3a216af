import { createHash } from "node:crypto";
import type * as tf from "#tf";
import type { Signature, StepFunction } from "../engine.js";
import { Program, type Call, type DataId } from "./program.js";
import { traced } from "./trace.js";
import type { TraceBackend } from "./traceBackend.js";

/**
 * What a step computes, as a hash for each of its outputs: of the kernels that lead there with their
 * attributes and constants, from the named inputs. Names of variables, the order of statements that
 * do not depend on each other, and what no output needs make no difference.
 */
export function describeStep(
  step: StepFunction,
  signature: Signature,
): Promise<Readonly<Record<string, string>>> {
  return traced(step, signature, (backend, { inputs, results }) => {
    const known = new Map<DataId, string>(
      Object.entries(inputs).map(([name, { dataId, dtype, shape }]) => [
        dataId,
        hashOf("input", name, dtype, shape),
      ]),
    );
    return hashesOf(backend, results, known);
  });
}

function hashesOf(
  backend: TraceBackend,
  results: Readonly<Record<string, tf.Tensor>>,
  known: Map<DataId, string>,
): Record<string, string> {
  const program = new Program(backend.calls, Object.values(results));
  const read = (info: tf.TensorInfo): string => {
    const hash = known.get(info.dataId) ?? constantHash(backend, info);
    known.set(info.dataId, hash);
    return hash;
  };
  for (const call of program.calls) {
    const hash = callHash(call, read);
    call.outputs.forEach(({ dataId, dtype, shape }, i) => {
      known.set(dataId, hashOf("output", hash, i, dtype, shape));
    });
  }
  return Object.fromEntries(
    Object.entries(results).map(([name, result]) => [name, read(program.resolve(result))]),
  );
}

function callHash({ kernel, inputs, attributes }: Call, read: (info: tf.TensorInfo) => string) {
  const sorted = <T>(record: Readonly<Record<string, T>>) =>
    Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return hashOf(
    ...["call", kernel, sorted(attributes)],
    sorted(inputs).map(([name, info]) => [name, read(info)]),
  );
}

/** What is no result of a call is there before the step runs. */
function constantHash(backend: TraceBackend, info: tf.TensorInfo): string {
  const { dtype, shape } = info;
  return hashOf(
    "constant",
    dtype,
    shape,
    Array.from(backend.readSync(info.dataId) as Float32Array),
  );
}

function hashOf(...parts: readonly unknown[]): string {
  const text = JSON.stringify(parts, (_, value: unknown) =>
    // JSON has no infinity, and would take -0 for 0.
    typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))
      ? `number ${Object.is(value, -0) ? "-0" : String(value)}`
      : value,
  );
  return createHash("sha256").update(text).digest("hex");
}
