import * as ort from "../onnxruntime.js";
import { endsOf, sessionOptions, type Kernels } from "../session.js";

/**
 * Loads an exported model into the real runtime, as a deployed program would: one thread.
 *
 * @param kernels those of `kernelsOf` for a network of a backend
 */
export function loadModel(model: Uint8Array, kernels: Kernels): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(model, sessionOptions(kernels));
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
