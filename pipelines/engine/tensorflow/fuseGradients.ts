import type { Operation } from "./operation.js";

/** Kernels that only this engine has. */
export const RELU_GRADIENT = "quantbench/ReluGrad";
export const RELU6_GRADIENT = "quantbench/Relu6Grad";

/** What is known of tensors before a step runs. */
export interface KnownTensors {
  readonly haveSameShape: (a: number, b: number) => boolean;
  /** The only element of a tensor, if it is a constant. */
  readonly constant: (tensor: number) => number | undefined;
}

/** A factor that is 1 where a ReLU or ReLU6 lets gradients through, and 0 elsewhere. */
interface Mask {
  readonly kernel: typeof RELU_GRADIENT | typeof RELU6_GRADIENT;
  readonly features: number;
}

/**
 * Gives products that are gradients of ReLU and ReLU6 to TensorFlow's own operators for them, which
 * read each tensor once. What made the mask stays, for others that may read it.
 */
export function fuseGradients(operations: readonly Operation[], known: KnownTensors): Operation[] {
  const producers = new Map<number, Operation>();
  /** What ReLU made of a tensor. It is positive where its input is, and others keep it anyway. */
  const rectified = new Map<number, number>();

  function maskOf(factor: number): Mask | undefined {
    const mask = producers.get(factor);
    const x = mask?.inputs["x"];
    if (mask === undefined || x === undefined) return undefined;
    if (mask.kernel === "Step" && (mask.attributes["alpha"] ?? 0) === 0)
      return { kernel: RELU_GRADIENT, features: rectified.get(x) ?? x };
    const inside = mask.kernel === "Cast" ? producers.get(x) : undefined;
    if (inside?.kernel !== "LogicalAnd") return undefined;
    const above = comparison(inside.inputs["a"], "Greater", 0);
    const below = comparison(inside.inputs["b"], "Less", 6);
    return above !== undefined && above === below
      ? { kernel: RELU6_GRADIENT, features: above }
      : undefined;
  }

  /** What is compared with the bound. */
  function comparison(tensor: number | undefined, kernel: string, bound: number) {
    const found = tensor === undefined ? undefined : producers.get(tensor);
    const { a, b } = found?.inputs ?? {};
    return found?.kernel === kernel && b !== undefined && known.constant(b) === bound
      ? a
      : undefined;
  }

  function fused(operation: Operation): Operation {
    const { a, b } = operation.inputs;
    if (operation.kernel !== "Multiply" || a === undefined || b === undefined) return operation;
    for (const [dy, factor] of [[a, b] as const, [b, a] as const]) {
      const mask = maskOf(factor);
      if (mask === undefined || !known.haveSameShape(dy, mask.features)) continue;
      const { kernel, features } = mask;
      return { kernel, inputs: { dy, features }, attributes: {}, outputs: operation.outputs };
    }
    return operation;
  }

  return operations.map((operation) => {
    const result = fused(operation);
    for (const output of operation.outputs) producers.set(output, result);
    const { x } = operation.inputs;
    const [y] = operation.outputs;
    if (operation.kernel === "Relu" && x !== undefined && y !== undefined) rectified.set(x, y);
    return result;
  });
}
