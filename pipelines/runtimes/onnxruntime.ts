import * as ort from "onnxruntime-node";
import { SESSION_OPTIONS } from "../engine/onnxruntime.js";
import { exportOnnx, IMAGE_INPUT, LOGITS_OUTPUT } from "../exportOnnx.js";
import type { LoadedModel, Runtime } from "./runtime.js";

/** onnxruntime's native library: one thread, its own graph optimizations. */
export const onnxruntime: Runtime = {
  name: "onnxruntime",
  title: "onnxruntime",
  layout: "NCHW",
  write: (frozen, { name }) => ({ bytes: exportOnnx(frozen, name) }),
  load: loadNative,
};

/** Loads an ONNX model into the native library. */
export async function loadNative(
  model: Uint8Array,
  shape: readonly number[],
): Promise<LoadedModel> {
  const session = await ort.InferenceSession.create(model, SESSION_OPTIONS);
  return {
    async infer(images, batch) {
      const feeds = { [IMAGE_INPUT]: new ort.Tensor("float32", images, [batch, ...shape]) };
      return (await session.run(feeds))[LOGITS_OUTPUT]?.data as Float32Array;
    },
  };
}
