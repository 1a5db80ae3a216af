import * as ort from "onnxruntime-node";
import {
  checkInputs,
  type CompiledStep,
  type Engine,
  type HostTensor,
  type HostTensors,
  type Signature,
} from "./engine.js";
import { outputName, trace } from "./trace/index.js";

/** One thread a session: cells run side by side, one per core, and sums keep their order. */
export const SESSION_OPTIONS: ort.InferenceSession.SessionOptions = {
  executionMode: "sequential",
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  logSeverityLevel: 3,
};

/** Traces steps to ONNX graphs and runs them natively; the default engine. */
export const onnxruntimeEngine: Engine = {
  name: "onnxruntime",
  version: ort.env.versions.node ?? ort.env.versions.common,

  async compile(step, signature) {
    const traced = await trace(step, signature);
    const session = await ort.InferenceSession.create(traced.model, SESSION_OPTIONS);
    return compiledStep(session, signature, traced.outputs);
  },
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
      if (session.outputNames.length === 0) return {}; // onnxruntime refuses to run for nothing
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
