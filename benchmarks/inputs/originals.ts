import * as ort from "../../pipelines/onnxruntime.js";
import { findRuntime, scoresOn } from "../../pipelines/deploy/index.js";
import {
  floatToHalf,
  halfToFloat,
  type ImportedInput,
  type ImportedNetwork,
  withFixedShapes,
} from "../../pipelines/import/index.js";
import { SESSION_OPTIONS } from "../../pipelines/session.js";

/** The scores that an original gives for batches of images, which lie as it wants them. */
export type Original = (batches: readonly Float32Array[]) => Promise<Float32Array[]>;

/** An ONNX file on onnxruntime. @param path may have weights beside it */
export const onOnnxruntime =
  (path: string, { input, output }: ImportedNetwork): Original =>
  async (batches) => {
    const session = await openSession(path);
    try {
      const scores: Float32Array[] = [];
      for (const images of batches) {
        const results = await session.run({ [input.name]: asTensor(images, input) });
        scores.push(numbers(results[output]));
      }
      return scores;
    } finally {
      await session.release();
    }
  };

/** A TensorFlow Lite file on LiteRT, in a process that it may end. */
export const onLiteRt =
  (bytes: Uint8Array, { input, output }: ImportedNetwork): Original =>
  async (batches) => {
    const { batch = 1 } = input;
    const [height = 1, width = 1, channels = 1] = input.shape;
    const shape = input.shape.length === 3 ? [channels, height, width] : input.shape;
    const fixed = withFixedShapes(bytes); // LiteRT takes no batch that is open
    return scoresOn(findRuntime("litert"), { bytes: fixed, shape, batch, output }, batches);
  };

async function openSession(path: string): Promise<ort.InferenceSession> {
  try {
    return await ort.InferenceSession.create(path, SESSION_OPTIONS);
  } catch (error) {
    throw new Error(
      `onnxruntime cannot run the original, so it cannot be compared: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** A batch in the original's own type and shape. */
function asTensor(data: Float32Array, { shape, type, batch = 1 }: ImportedInput): ort.Tensor {
  const dimensions = [batch, ...shape];
  if (type === "float32") return new ort.Tensor("float32", data, dimensions);
  if (type === "int32") return new ort.Tensor("int32", Int32Array.from(data), dimensions);
  if (type === "int64")
    return new ort.Tensor(
      "int64",
      BigInt64Array.from(data, (token) => BigInt(token)),
      dimensions,
    );
  return new ort.Tensor("float16", Uint16Array.from(data, floatToHalf), dimensions);
}

function numbers(result: ort.OnnxValue | undefined): Float32Array {
  if (result === undefined) return new Float32Array(0);
  const { type, data } = result;
  // Where JavaScript has 16-bit floats, onnxruntime gives those; else their bits.
  if (type === "float16" && data instanceof Uint16Array)
    return Float32Array.from(data, halfToFloat);
  return Float32Array.from(data, Number);
}
