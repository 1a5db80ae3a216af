import { exportOnnx, IMAGE_INPUT, LOGITS_OUTPUT } from "../exportOnnx.js";
import type { Runtime } from "./runtime.js";

/** onnxruntime compiled to WebAssembly, as web pages run it: one thread. */
export const onnxruntimeWeb: Runtime = {
  name: "onnxruntimeWeb",
  title: "onnxruntime-web (WebAssembly)",
  layout: "NCHW",
  write: (frozen, { name }) => ({ bytes: exportOnnx(frozen, name) }),
  async load(model, shape) {
    // Loaded here alone: the library and its WebAssembly take a second to start.
    const ort = await import("onnxruntime-web");
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = "error";
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    return {
      async infer(images, batch) {
        const feeds = { [IMAGE_INPUT]: new ort.Tensor("float32", images, [batch, ...shape]) };
        const results = await session.run(feeds);
        return results[LOGITS_OUTPUT]?.data as Float32Array;
      },
    };
  },
};
