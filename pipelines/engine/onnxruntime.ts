import * as ort from "../onnxruntime.js";
import {
  checkInputs,
  type CompiledStep,
  type Engine,
  type HostTensor,
  type HostTensors,
  type Signature,
} from "./engine.js";
import { describeLowering, type Lowering } from "./trace/lowering.js";
import { outputName, trace } from "./trace/index.js";
import { SESSION_OPTIONS } from "../session.js";

/** Traces steps to ONNX graphs and runs them natively; the default engine. */
export function onnxruntimeEngine(lowering: Lowering, threads = 1): Engine {
  // The optimizer would merge what was laid out and ordered with care, and onnxruntime computes
  // a DequantizeLinear again for each of its readers unless it is told not to look at them.
  // From its second run on, a plan of the memory is one block for all tensors, beside what the first run
  // left: up to twice the memory, and no faster.
  const common = { ...SESSION_OPTIONS, intraOpNumThreads: threads, enableMemPattern: false };
  const options: ort.InferenceSession.SessionOptions =
    lowering.name === "standard"
      ? common
      : {
          ...common,
          graphOptimizationLevel: "disabled",
          extra: { session: { disable_quant_qdq: "1" } },
        };
  return {
    name: "onnxruntime",
    version: ort.env.versions.node ?? ort.env.versions.common,
    lowering: describeLowering(lowering),

    async compile(step, signature) {
      const traced = await trace(step, signature, lowering);
      if (Object.keys(traced.outputs).length === 0) return NOTHING; // onnxruntime refuses to
      const session = await ort.InferenceSession.create(traced.model, options);
      return compiledStep(session, signature, traced.outputs);
    },
  };
}

const NOTHING: CompiledStep = {
  run: () => Promise.resolve({}),
  release: () => Promise.resolve(),
};

function compiledStep(
  session: ort.InferenceSession,
  signature: Signature,
  outputs: Signature,
): CompiledStep {
  // onnxruntime drops inputs that no output depends on, and rejects values fed to them.
  const fed = new Set(session.inputNames);
  return {
    async run(inputs) {
      checkInputs(inputs, signature);
      const feeds: Record<string, ort.Tensor> = {};
      for (const [name, { dtype, data, shape }] of Object.entries(inputs)) {
        // The constructor's overloads want dtype and data to be known together.
        if (fed.has(name)) feeds[name] = new ort.Tensor(dtype, data as Float32Array, shape);
      }
      const results = await session.run(feeds);
      return hostTensors(results, outputs);
    },
    release: () => session.release(),
  };
}

function hostTensors(results: ort.InferenceSession.ReturnType, outputs: Signature): HostTensors {
  const host: Record<string, HostTensor> = {};
  for (const [name, { shape, dtype }] of Object.entries(outputs)) {
    const data = results[outputName(name)]?.data;
    if (!(data instanceof Float32Array || data instanceof Int32Array)) {
      throw new TypeError(`onnxruntime returned no ${dtype} values for step output "${name}"`);
    }
    host[name] = { shape, dtype, data };
  }
  return host;
}
