import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
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

/**
 * Operators of the graph that onnxruntime makes of a model, with how often each is in it: shows
 * what runs in integers (QLinearConv, ...) and what does not.
 */
export async function runtimeOperators(model: Uint8Array): Promise<Record<string, number>> {
  const directory = await mkdtemp(join(os.tmpdir(), "quantbench-graph-"));
  try {
    const path = join(directory, "optimized.onnx");
    const session = await ort.InferenceSession.create(model, {
      ...SESSION_OPTIONS,
      optimizedModelFilePath: path,
    });
    await session.release();
    const { graph } = fromBinary(ModelProtoSchema, await readFile(path));
    const counts = new Map<string, number>();
    for (const { opType } of graph?.node ?? []) counts.set(opType, (counts.get(opType) ?? 0) + 1);
    return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
