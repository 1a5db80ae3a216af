import { encodeTflite } from "./encode.js";
import type { TfliteOperation, TfliteOperator, TfliteOptions, TfliteTensor } from "./schema.js";

/**
 * Builds a TensorFlow Lite model with one graph.
 *
 * @see https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
 *   schema version 3
 */
export class TfliteModel {
  readonly #tensors: TfliteTensor[] = [];
  readonly #operations: TfliteOperation[] = [];

  /** Adds a tensor and returns its number. */
  tensor(tensor: TfliteTensor): number {
    return this.#tensors.push(tensor) - 1;
  }

  /** Adds an operator that writes the tensor `output`, and returns that number. */
  add(
    operator: TfliteOperator,
    inputs: readonly number[],
    output: number,
    options?: TfliteOptions,
  ): number {
    this.#operations.push({ operator, inputs, output, options });
    return output;
  }

  /** How often each operator is in the graph. */
  get operatorCounts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { operator } of this.#operations) counts[operator] = (counts[operator] ?? 0) + 1;
    return counts;
  }

  at(index: number): TfliteTensor {
    const tensor = this.#tensors[index];
    if (tensor === undefined) throw new RangeError(`no tensor ${String(index)}`);
    return tensor;
  }

  toBytes(
    input: number,
    outputs: readonly number[],
    about: { readonly name: string; readonly description: string },
  ): Uint8Array {
    return encodeTflite({
      ...{ tensors: this.#tensors, operations: this.#operations },
      ...{ input, outputs, ...about },
    });
  }
}
