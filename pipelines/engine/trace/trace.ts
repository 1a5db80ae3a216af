import * as tf from "#tf";
import { outputType, type HostTensor, type Signature, type StepFunction } from "../engine.js";
import { recordBlocked, widestImages } from "./blocked/index.js";
import { STANDARD, type Lowering } from "./lowering.js";
import { Program } from "./program.js";
import { schedule } from "./schedule.js";
import { onnxType, TRACE_BACKEND, type HostValues, type TraceBackend } from "./traceBackend.js";

export interface TracedStep {
  /** A serialized ONNX model that computes one step. */
  readonly model: Uint8Array;
  readonly nodeCount: number;
  readonly outputs: Readonly<Record<string, Pick<HostTensor, "shape" | "dtype">>>;
}

/** A step may give back what it was given, under the same name; ONNX wants the two apart. */
export const outputName = (name: string): string => `result ${name}`;

/**
 * Runs `step` once on the tracing backend and returns the ONNX graph of what it computed, the
 * backward pass included, since tfjs's own automatic differentiation runs on the traced tensors.
 *
 * @throws Error naming the kernel and the place of the call when a kernel cannot be recorded
 */
export function trace(
  step: StepFunction,
  signature: Signature,
  lowering: Lowering = STANDARD,
): Promise<TracedStep> {
  return traced(step, signature, (backend, recorded) =>
    lowering.name === "standard"
      ? standardGraph(backend, recorded)
      : blockedGraph(backend, recorded, lowering),
  );
}

/** What a step computes, for engines that run its kernels one by one. */
export interface RecordedProgram {
  readonly program: Program;
  readonly inputs: Readonly<Record<string, tf.TensorInfo>>;
  readonly results: Readonly<Record<string, tf.TensorInfo>>;
  readonly outputs: TracedStep["outputs"];
  /** The elements of a tensor that are known before the step runs. */
  readonly known: (info: tf.TensorInfo) => HostValues | undefined;
}

/**
 * Runs `step` once on the tracing backend and returns the calls of kernels that it needs.
 *
 * @throws Error naming the kernel and the place of the call when a kernel cannot be recorded
 */
export function recordProgram(step: StepFunction, signature: Signature): Promise<RecordedProgram> {
  return traced(step, signature, (backend, { inputs, results, outputs }) => {
    const program = new Program(backend.calls, Object.values(results));
    return { program, inputs, results, outputs, known: (info) => backend.known(info) };
  });
}

/** Records `step` and makes something of what was recorded, while its tensors are there. */
export async function traced<T>(
  step: StepFunction,
  signature: Signature,
  make: (backend: TraceBackend, recorded: Recorded) => T,
): Promise<T> {
  // Typed as a string, but undefined until some backend was used.
  const previous = tf.getBackend() as string | undefined;
  await tf.setBackend(TRACE_BACKEND);
  const backend = tf.backend() as TraceBackend; // the one registered under this name
  backend.begin();
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 100; // tfjs puts some twenty frames between a kernel and its caller
  try {
    // A scope of tfjs frees the tensors; what it returns must not be searched for more of them.
    tf.engine().startScope();
    try {
      return make(backend, record(backend, step, signature));
    } finally {
      tf.engine().endScope();
    }
  } catch (error) {
    throw explainMissingKernel(error);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    backend.begin();
    if (previous !== undefined && previous !== TRACE_BACKEND) await tf.setBackend(previous);
  }
}

/** What running a step once gave. */
export interface Recorded {
  readonly signature: Signature;
  readonly inputs: Readonly<Record<string, tf.Tensor>>;
  readonly results: Readonly<Record<string, tf.Tensor>>;
  readonly outputs: TracedStep["outputs"];
}

function record(backend: TraceBackend, step: StepFunction, signature: Signature): Recorded {
  const inputs: Record<string, tf.Tensor> = {};
  for (const [name, { shape, dtype }] of Object.entries(signature)) {
    const value = backend.graph.input(name, onnxType(dtype), shape);
    const info = backend.result(value, shape, dtype);
    inputs[name] = tf.engine().makeTensorFromTensorInfo(info, backend);
  }
  const outputs: Record<string, Pick<HostTensor, "shape" | "dtype">> = {};
  const results = step(inputs);
  for (const [name, { shape, dtype }] of Object.entries(results)) {
    outputs[name] = { shape, dtype: outputType(name, dtype) };
  }
  return { signature, inputs, results, outputs };
}

function addOutputs(
  backend: TraceBackend,
  { results, outputs }: Recorded,
  resolve: (info: tf.TensorInfo) => tf.TensorInfo,
): void {
  for (const [name, { shape, dtype }] of Object.entries(outputs)) {
    const result = results[name];
    if (result === undefined) continue;
    backend.graph.output(outputName(name), backend.plain(resolve(result)), dtype, shape);
  }
}

function standardGraph(backend: TraceBackend, recorded: Recorded): TracedStep {
  addOutputs(backend, recorded, (info) => info);
  const { graph } = backend;
  return { model: graph.toBytes("step"), nodeCount: graph.nodeCount, outputs: recorded.outputs };
}

/** Records the calls again, knowing all of them, so that neighbours can be fused. */
function blockedGraph(
  backend: TraceBackend,
  recorded: Recorded,
  options: Exclude<Lowering, { name: "standard" }>,
): TracedStep {
  const program = new Program(backend.calls, Object.values(recorded.results));
  backend.begin(options, widestImages(program));
  const { graph } = backend;
  for (const [name, { shape, dtype }] of Object.entries(recorded.signature)) {
    const info = backend.result(graph.input(name, onnxType(dtype), shape), shape, dtype);
    const input = recorded.inputs[name];
    if (input !== undefined) backend.rebind(input, info);
  }
  recordBlocked(backend, program);
  addOutputs(backend, recorded, (info) => program.resolve(info));
  const names = new Set(Object.keys(recorded.outputs).map(outputName));
  const nodes = schedule(graph.nodes, names, backend.images);
  return {
    model: graph.toBytes("step", nodes),
    nodeCount: nodes.length,
    outputs: recorded.outputs,
  };
}

/** tfjs names the kernel but not who called it; the first frame outside of packages did. */
function explainMissingKernel(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const kernel = /kernel '(\w+)'/i.exec(error.message)?.[1];
  if (kernel === undefined || !error.message.includes(TRACE_BACKEND)) return error;
  const caller = error.stack
    ?.split("\n")
    .slice(1)
    .find((line) => !line.includes("node_modules"))
    ?.trim();
  return new Error(
    `The onnxruntime engine cannot record the tfjs kernel "${kernel}", called ${caller ?? "from an unknown place"}. ` +
      "Write the computation with other operations (quantbench list kernels says which), or add a lowering under pipelines/engine/trace/.",
    { cause: error },
  );
}
