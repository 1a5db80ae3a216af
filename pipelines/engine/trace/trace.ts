import * as tf from "@tensorflow/tfjs";
import { OnnxGraph } from "../../onnx/onnxGraph.js";
import type { HostTensor, Signature, StepFunction } from "../engine.js";
import type { TraceBackend } from "./traceBackend.js";
import { onnxType, TRACE_BACKEND } from "./traceBackend.js";

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
export async function trace(step: StepFunction, signature: Signature): Promise<TracedStep> {
  // Typed as a string, but undefined until some backend was used.
  const previous = tf.getBackend() as string | undefined;
  await tf.setBackend(TRACE_BACKEND);
  const backend = tf.backend() as TraceBackend; // the one registered under this name
  backend.graph = new OnnxGraph();
  const outputs: Record<string, Pick<HostTensor, "shape" | "dtype">> = {};
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 100; // tfjs puts some twenty frames between a kernel and its caller
  try {
    tf.tidy(() => {
      const inputs: Record<string, tf.Tensor> = {};
      for (const [name, { shape, dtype }] of Object.entries(signature)) {
        const value = backend.graph.input(name, onnxType(dtype), shape);
        const info = backend.result(value, shape, dtype);
        inputs[name] = tf.engine().makeTensorFromTensorInfo(info, backend);
      }
      for (const [name, tensor] of Object.entries(step(inputs))) {
        const dtype = tensor.dtype === "int32" ? "int32" : "float32";
        if (tensor.dtype !== dtype) {
          throw new TypeError(
            `step output "${name}" is ${tensor.dtype}; cast it to float32 or int32`,
          );
        }
        backend.graph.output(outputName(name), backend.plain(tensor), dtype, tensor.shape);
        outputs[name] = { shape: tensor.shape, dtype };
      }
    });
    const model = backend.graph.toBytes("step");
    return { model, nodeCount: backend.graph.nodeCount, outputs };
  } catch (error) {
    throw explainMissingKernel(error);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    backend.graph = new OnnxGraph();
    if (previous !== undefined && previous !== TRACE_BACKEND) await tf.setBackend(previous);
  }
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
      "Write the computation with other operations, or add a lowering under pipelines/engine/trace/.",
    { cause: error },
  );
}
