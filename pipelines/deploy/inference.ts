import * as ort from "../onnxruntime.js";
import { endsOf, SESSION_OPTIONS } from "../session.js";

/** Loads an exported model into the real runtime, as a deployed program would: one thread. */
export function loadModel(model: Uint8Array): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(model, SESSION_OPTIONS);
}

/** One inference of a loaded model. */
export async function infer(
  session: ort.InferenceSession,
  images: ort.Tensor,
): Promise<Float32Array> {
  const { image, logits } = endsOf(session);
  const { [logits]: result } = await session.run({ [image]: images });
  const data = result?.data;
  if (!(data instanceof Float32Array)) throw new TypeError("the model gave no float logits");
  return data;
}
