import type * as tf from "#tf";

/** A tensor outside any engine: plain memory that can be stored, hashed and fed to a step. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly dtype: "float32" | "int32";
  readonly data: Float32Array | Int32Array;
}
export type HostTensors = Readonly<Record<string, HostTensor>>;

export type StepTensors = Readonly<Record<string, tf.Tensor>>;

/**
 * A computation in plain TensorFlow.js operations from named tensors to named tensors. It must
 * not read a tensor's value and must not depend on anything that changes between calls: an
 * engine may run the function once and replay what it recorded.
 */
export type StepFunction = (inputs: StepTensors) => StepTensors;

/** Shapes and types of a step's inputs; both are fixed when the step is compiled. */
export type Signature = Readonly<Record<string, Pick<HostTensor, "shape" | "dtype">>>;

export interface CompiledStep {
  /** @throws TypeError when an input is missing, unknown or of another shape than compiled for. */
  run(inputs: HostTensors): Promise<HostTensors>;
  release(): Promise<void>;
}

/** Where tensor computations run. Engines agree up to float32 rounding, not to the bit. */
export interface Engine {
  readonly name: EngineName;
  /** Version of the library that computes, recorded with every result. */
  readonly version: string;
  /** How steps become graphs, where an engine has several ways; bits depend on it. */
  readonly lowering?: string;
  compile(step: StepFunction, signature: Signature): Promise<CompiledStep>;
}

/** What decides bits besides the step itself: part of every cell's identity. */
export function engineIdentity({ name, version, lowering }: Engine) {
  return { name, version, ...(lowering !== undefined && { lowering }) };
}

export const ENGINE_NAMES = ["onnxruntime", "portable", "tfjs-node", "tfjs"] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/** @throws TypeError when a step gives back what is neither float32 nor int32 */
export function outputType(name: string, dtype: string): HostTensor["dtype"] {
  if (dtype === "float32" || dtype === "int32") return dtype;
  throw new TypeError(`step output "${name}" is ${dtype}; cast it to float32 or int32`);
}

export function float32(
  data: Float32Array | readonly number[],
  shape: readonly number[],
): HostTensor {
  return { dtype: "float32", shape, data: Float32Array.from(data) };
}

export function scalar(value: number): HostTensor {
  return float32([value], []);
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The one value of a tensor of size 1. */
export function onlyValue(tensor: HostTensor | undefined): number {
  const value = tensor?.data[0];
  if (value === undefined || tensor?.data.length !== 1) {
    throw new TypeError(`expected one value, got shape [${tensor?.shape.join() ?? "missing"}]`);
  }
  return value;
}

/** Checks inputs against what the step was compiled for. */
export function checkInputs(inputs: HostTensors, signature: Signature): void {
  for (const name of Object.keys(inputs)) {
    if (!(name in signature)) throw new TypeError(`step has no input "${name}"`);
  }
  for (const [name, { shape, dtype }] of Object.entries(signature)) {
    const input = inputs[name];
    if (input === undefined) throw new TypeError(`step input "${name}" is missing`);
    if (input.dtype !== dtype || input.shape.join() !== shape.join()) {
      throw new TypeError(
        `step input "${name}" must be ${dtype} [${shape.join()}], got ${input.dtype} [${input.shape.join()}]`,
      );
    }
  }
}
