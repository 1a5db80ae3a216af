import * as ort from "onnxruntime-node";
import { channelsFirst, type Dataset } from "./data.js";
import { SESSION_OPTIONS } from "./engine/onnxruntime.js";
import { collectLogits, type Logits } from "./evaluate.js";
import { IMAGE_INPUT, LOGITS_OUTPUT } from "./exportOnnx.js";

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

/** Logits of the exported model for every test image, from onnxruntime. */
export async function deployedLogits(model: Uint8Array, dataset: Dataset): Promise<Logits> {
  const session = await loadModel(model);
  try {
    return await collectLogits(dataset, (batch) => {
      const { data, shape } = channelsFirst(batch.images);
      return infer(session, new ort.Tensor("float32", data as Float32Array, shape));
    });
  } finally {
    await session.release();
  }
}
