import * as tf from "#tf";
import { OnnxGraph, type OnnxType } from "../../onnx/index.js";
import type { BlockedOptions } from "./imageForms.js";
import { BlockedImages } from "./images.js";
import { CHANNELS_FIRST, isTrivial, type Layout } from "./layout.js";
import type { Call, DataId } from "./program.js";

type DataType = tf.DataType;
export type HostValues = Float32Array | Int32Array | Uint8Array;

/** What stands for a tensor while a step is traced: names of graph values instead of numbers. */
interface TracedValue {
  readonly shape: readonly number[];
  readonly dtype: DataType;
  /** The kernel that made it, for error messages. */
  readonly producer: string;
  /** Set when the value is known before the step runs; it becomes a constant where it is used. */
  readonly host?: HostValues;
  /** The graph value that holds it, per physical layout. */
  readonly names: Map<Layout, string>;
  /** The same in the blocked layout, one value a chunk of the batch. */
  blocked?: BlockedValue;
}

/** Integers of quantized images: (code - zeroPoint) * scale, both graph values of shape []. */
export interface Codes {
  readonly chunks: readonly string[];
  readonly scale: string;
  /** Of the codes' own type; absent for 0. */
  readonly zeroPoint?: string;
}

/** Images in the blocked layout. */
export interface BlockedValue {
  readonly chunks: readonly string[];
  /** Set on quantized images: what the chunks were made of. */
  readonly codes?: Codes;
}

export const TRACE_BACKEND = "quantbench-trace";

/**
 * A TensorFlow.js backend whose kernels record ONNX nodes instead of computing. A traced value
 * knows its physical layout and is converted only where an operation needs another one.
 */
export class TraceBackend extends tf.KernelBackend {
  graph = new OnnxGraph();
  /** Every kernel call since the trace began. */
  calls: Call[] = [];
  #images: BlockedImages | undefined;
  #values = new WeakMap<DataId, TracedValue>();
  readonly #constants = new WeakMap<DataId, TracedValue>();
  #live = 0;

  /** Forgets all that was recorded; constants, which exist before a step runs, stay. */
  begin(blocked?: BlockedOptions, widest: ReadonlyMap<number, number> = new Map()): void {
    this.graph = new OnnxGraph();
    this.calls = [];
    this.#values = new WeakMap();
    this.#images = blocked && new BlockedImages(this.graph, blocked, widest);
  }

  /** How to compute in the blocked layout. */
  get images(): BlockedImages {
    if (this.#images === undefined) throw new Error("this trace knows no blocked layout");
    return this.#images;
  }

  /** Makes `info`, recorded earlier, stand for what `result` holds. */
  rebind(info: tf.TensorInfo, result: tf.TensorInfo): void {
    this.#values.set(info.dataId, this.#value(result.dataId));
  }

  /** The elements of a tensor that is known before the step runs. */
  hostOf(info: tf.TensorInfo): HostValues | undefined {
    return this.#value(info.dataId).host;
  }

  /** The number that a tensor of one element is known to hold before the step runs. */
  constantOf(info: tf.TensorInfo): number | undefined {
    const host = this.#value(info.dataId).host;
    return host?.length === 1 ? host[0] : undefined;
  }

  /** The elements of a tensor that no kernel computed, also after the trace has ended. */
  known(info: tf.TensorInfo): HostValues | undefined {
    return this.#constants.get(info.dataId)?.host;
  }

  /** Whether the value was computed already. */
  isKnown(info: tf.TensorInfo): boolean {
    return this.#values.has(info.dataId);
  }

  isBlocked(info: tf.TensorInfo): boolean {
    return this.#value(info.dataId).blocked !== undefined;
  }

  /** Images in the blocked layout; converts them when they only exist in another. */
  blocked(info: tf.TensorInfo): BlockedValue {
    const value = this.#value(info.dataId);
    value.blocked ??= {
      chunks: value.names.has("channelsFirst")
        ? this.images.fromChannelsFirst(this.in("channelsFirst", info), info.shape)
        : this.images.fromPlain(this.plain(info), info.shape),
    };
    return value.blocked;
  }

  /** Wraps blocked images as the result of a kernel. */
  blockedResult(blocked: BlockedValue, shape: readonly number[], dtype: DataType): tf.TensorInfo {
    const dataId = {};
    const [producer = "nothing"] = blocked.chunks;
    this.#values.set(dataId, { shape, dtype, producer, names: new Map(), blocked });
    this.#live += 1;
    return { dataId, shape: [...shape], dtype };
  }

  /** The ONNX name of a tensor in the given layout; adds a conversion node when there is none. */
  in(layout: Layout, info: tf.TensorInfo): string {
    const value = this.#value(info.dataId);
    const known = value.names.get(layout);
    if (known !== undefined) return known;
    const name = this.#convert(layout, value, info.shape);
    value.names.set(layout, name);
    return name;
  }

  plain(info: tf.TensorInfo): string {
    return this.in("plain", info);
  }

  /** Whether the tensor already exists in the given layout. */
  has(layout: Layout, info: tf.TensorInfo): boolean {
    return this.#value(info.dataId).names.has(layout);
  }

  /** The layout to compute in when the operation does not care. */
  layoutOf(info: tf.TensorInfo): Layout {
    return this.has("channelsFirst", info) ? "channelsFirst" : "plain";
  }

  /** Wraps a graph value as the result of a kernel. */
  result(
    name: string,
    shape: readonly number[],
    dtype: DataType,
    layout: Layout = "plain",
  ): tf.TensorInfo {
    const dataId = {};
    this.#values.set(dataId, {
      shape,
      dtype,
      producer: name,
      names: new Map([[layout, name]]),
    });
    this.#live += 1;
    return { dataId, shape: [...shape], dtype };
  }

  /** A result whose every element is known while tracing. */
  constantResult(values: HostValues, shape: readonly number[], dtype: DataType): tf.TensorInfo {
    return { dataId: this.write(values, [...shape], dtype), shape: [...shape], dtype };
  }

  /** The same elements in the same order under another shape. */
  reshape(name: string, shape: readonly number[]): string {
    // Without allowzero, a 0 in a shape means "as in the input".
    const attributes = shape.includes(0) ? { allowzero: 1 } : {};
    return this.graph.add("Reshape", [name, this.graph.integers(shape)], attributes);
  }

  #value(dataId: DataId): TracedValue {
    let value = this.#values.get(dataId);
    const constant = value === undefined ? this.#constants.get(dataId) : undefined;
    if (constant !== undefined) {
      value = { ...constant, names: new Map() };
      this.#values.set(dataId, value);
    }
    if (value === undefined) throw new Error("a tensor of another trace is used in this step");
    return value;
  }

  #convert(layout: Layout, value: TracedValue, shape: readonly number[]): string {
    if (value.host !== undefined && layout === "plain") {
      return this.graph.constant(onnxType(value.dtype), value.shape, value.host);
    }
    if (value.blocked !== undefined && value.names.size === 0) {
      const convert = layout === "plain" ? "toPlain" : "toChannelsFirst";
      return this.images[convert](value.blocked.chunks, shape);
    }
    if (layout === "plain") {
      const source = value.names.get("channelsFirst");
      if (source === undefined) throw new Error(`traced value of ${value.producer} has no name`);
      return isTrivial(shape)
        ? this.reshape(source, shape)
        : this.graph.add("Transpose", [source], { perm: CHANNELS_FIRST.toPlain });
    }
    const plain = value.names.get("plain") ?? this.#convert("plain", value, shape);
    value.names.set("plain", plain);
    return isTrivial(shape)
      ? this.reshape(plain, CHANNELS_FIRST.shape(shape))
      : this.graph.add("Transpose", [plain], { perm: CHANNELS_FIRST.fromPlain });
  }

  // What tfjs requires of a backend.

  override write(values: tf.BackendValues, shape: number[], dtype: DataType): DataId {
    const dataId = {};
    this.move(dataId, values, shape, dtype);
    return dataId;
  }

  override move(dataId: DataId, values: tf.BackendValues, shape: number[], dtype: DataType): void {
    const host = values as HostValues; // strings never reach a step
    this.#constants.set(dataId, { shape, dtype, producer: "constant", host, names: new Map() });
    this.#live += 1;
  }

  override readSync(dataId: DataId): tf.BackendValues {
    const value = this.#value(dataId);
    if (value.host !== undefined) return value.host;
    throw new Error(
      `a step read the value of a tensor of shape [${value.shape.join()}] made by ${value.producer}; ` +
        "steps are recorded once and replayed, so they must compute with tensors alone",
    );
  }

  override read(dataId: DataId): Promise<tf.BackendValues> {
    return Promise.resolve(this.readSync(dataId));
  }

  override numDataIds(): number {
    return this.#live;
  }

  override disposeData(): boolean {
    this.#live -= 1;
    return true;
  }

  override incRef(): void {
    // Values are names: nothing is counted or freed.
  }

  override refCount(): number {
    return 1;
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }

  override timerAvailable(): boolean {
    return false;
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }
}

export function onnxType(dtype: DataType): OnnxType {
  if (dtype === "float32" || dtype === "int32" || dtype === "bool") return dtype;
  throw new TypeError(`steps compute with float32, int32 and bool tensors, not ${dtype}`);
}

export type Lowering = (
  inputs: Readonly<Record<string, tf.TensorInfo>>,
  attributes: Readonly<Record<string, unknown>>,
  trace: TraceBackend,
) => tf.TensorInfo | tf.TensorInfo[];

const lowerings = new Map<string, Lowering>();

/** Names of the tfjs kernels that can be recorded. */
export const recordableKernels = (): string[] => [...lowerings.keys()].sort();

/** The standard way to record a kernel. */
export function standardLowering(kernel: string): Lowering {
  const lowering = lowerings.get(kernel);
  if (lowering === undefined) throw new Error(`kernel ${kernel} was recorded without a lowering`);
  return lowering;
}

/** Registers how one tfjs kernel is recorded. */
export function lower<I = Record<string, tf.TensorInfo>, A = Record<string, unknown>>(
  kernelName: string,
  lowering: (inputs: I, attributes: A, trace: TraceBackend) => tf.TensorInfo | tf.TensorInfo[],
): void {
  const untyped = lowering as unknown as Lowering; // tfjs passes inputs and attributes untyped
  lowerings.set(kernelName, untyped);
  tf.registerKernel({
    kernelName,
    backendName: TRACE_BACKEND,
    kernelFunc: ({ inputs, attrs, backend }) => {
      const trace = backend as TraceBackend;
      const given = inputs as Record<string, tf.TensorInfo>;
      const attributes: Readonly<Record<string, unknown>> = attrs ?? {};
      const result = untyped(given, attributes, trace);
      const outputs = Array.isArray(result) ? result : [result];
      trace.calls.push({ kernel: kernelName, inputs: given, attributes, outputs });
      return result;
    },
  });
}

tf.registerBackend(TRACE_BACKEND, () => new TraceBackend());
