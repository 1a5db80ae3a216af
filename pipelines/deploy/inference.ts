import * as ort from "onnxruntime-node";
import { IMAGE_INPUT, LOGITS_OUTPUT, SESSION_OPTIONS } from "../session.js";

/** Loads an exported model into the real runtime, as a deployed program would: one thread. */
export function loadModel(model: Uint8Array): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(model, SESSION_OPTIONS);
}

/** One inference of a loaded model. */
export async function infer(
  session: ort.InferenceSession,
  images: ort.Tensor,
): Promise<Float32Array> {
  const outputs = await session.run({ [IMAGE_INPUT]: images });
  const data = outputs[LOGITS_OUTPUT]?.data;
  if (!(data instanceof Float32Array)) throw new TypeError("the model gave no float logits");
  return data;
}
