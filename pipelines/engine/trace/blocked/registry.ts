import type * as tf from "#tf";
import type { Call, Program } from "../program.js";
import type { TraceBackend } from "../traceBackend.js";

/** What a blocked lowering sees. */
export interface BlockedContext {
  readonly trace: TraceBackend;
  readonly program: Program;
}

/** Records a call in the blocked layout, or gives nothing where the standard way is to be taken. */
export type BlockedLowering = (call: Call, context: BlockedContext) => tf.TensorInfo | undefined;

const lowerings = new Map<string, BlockedLowering[]>();

/** Registers a way to record a kernel; of several the one registered first is tried first. */
export function lowerBlocked(kernel: string, lowering: BlockedLowering): void {
  lowerings.set(kernel, [...(lowerings.get(kernel) ?? []), lowering]);
}

/** The first blocked way that fits. */
export function tryBlocked(call: Call, context: BlockedContext): tf.TensorInfo | undefined {
  for (const lowering of lowerings.get(call.kernel) ?? []) {
    const result = lowering(call, context);
    if (result !== undefined) return result;
  }
  return undefined;
}

/** Whether a tensor is a batch of float images that the blocked layout can hold. */
export function isImages({ shape, dtype }: tf.TensorInfo): boolean {
  return shape.length === 4 && dtype !== "int32" && !shape.includes(0);
}

/** A call's input, which the kernel always has. */
export function inputOf(call: Call, name: string): tf.TensorInfo {
  const input = call.inputs[name];
  if (input === undefined) throw new TypeError(`${call.kernel} was recorded without ${name}`);
  return input;
}

/** The one result of a call; kernels with several have no blocked lowering. */
export function outputOf(call: Call): tf.TensorInfo {
  const [output] = call.outputs;
  if (output === undefined) throw new TypeError(`${call.kernel} was recorded without a result`);
  return output;
}
