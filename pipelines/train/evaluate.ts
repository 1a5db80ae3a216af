import { batchesInOrder, type Batch, type Dataset } from "./data.js";
import { imagePace, type ImageProgress } from "./pace.js";
import type {
  CompiledStep,
  Engine,
  HostTensors,
  StepFunction,
  StepTensors,
} from "../engine/index.js";
import { forward, type ForwardOptions } from "../network/index.js";
import type { Network } from "../../algorithms/network.js";

/** Images per inference batch; sets the memory that evaluation needs. */
export const EVALUATION_BATCH = 200;

/** [images, classes], row-major, in the order of the test set. */
export type Logits = Float32Array;

/**
 * Computes the logits of every test image with a function from one batch to its logits.
 *
 * @throws RangeError naming the first image whose logits are not finite
 */
export async function collectLogits(
  dataset: Dataset,
  infer: (batch: Batch) => Promise<ArrayLike<number>>,
  onImages?: (progress: ImageProgress) => void,
): Promise<Logits> {
  const logits = new Float32Array(dataset.test.count * dataset.classes);
  const told = imagePace(dataset.test.count, onImages);
  let offset = 0;
  for (const batch of batchesInOrder(dataset, dataset.test, EVALUATION_BATCH)) {
    logits.set(await infer(batch), offset);
    offset += (batch.images.shape[0] ?? 0) * dataset.classes;
    told(offset / dataset.classes);
  }
  checkFinite(logits, dataset);
  return logits;
}

/** @throws RangeError naming the first image whose logits are not finite */
export function checkFinite(logits: Logits, { classes }: Pick<Dataset, "classes">): void {
  const wrong = logits.findIndex((logit) => !Number.isFinite(logit));
  if (wrong < 0) return;
  const image = Math.floor(wrong / classes);
  throw new RangeError(
    `the network gave the logit ${String(logits[wrong])} for test image ${String(image)}`,
  );
}

/** Runs a network over the test set. */
export async function evaluate(
  engine: Engine,
  network: Network,
  options: {
    readonly tensors: HostTensors;
    readonly dataset: Dataset;
    /** How sites are quantized, given the tensors of the step. */
    readonly mode: (tensors: StepTensors) => Pick<ForwardOptions, "quantize" | "bias">;
    readonly onImages?: (progress: ImageProgress) => void;
  },
): Promise<Logits> {
  const { tensors, dataset, mode, onImages } = options;
  const step: StepFunction = ({ images, ...parameters }) => {
    if (images === undefined) throw new TypeError("evaluation needs images");
    const result = forward(network, images, {
      parameters,
      training: false,
      ...mode(parameters),
    });
    return { logits: result.logits };
  };
  const compiled = new Map<number, CompiledStep>(); // by batch size: the last batch may be smaller
  try {
    return await collectLogits(
      dataset,
      async ({ images }) => {
        const size = images.shape[0] ?? 0;
        const known = compiled.get(size) ?? (await engine.compile(step, { images, ...tensors }));
        compiled.set(size, known);
        const { logits } = await known.run({ images, ...tensors });
        if (logits === undefined) throw new Error("evaluation gave no logits");
        return logits.data;
      },
      onImages,
    );
  } finally {
    for (const step of compiled.values()) await step.release();
  }
}

/** Class with the highest logit; the first one of equals. */
export function predictions(logits: Logits, classes: number): Uint32Array {
  return Uint32Array.from({ length: logits.length / classes }, (_, image) => {
    let best = 0;
    for (let label = 1; label < classes; label++) {
      if ((logits[image * classes + label] ?? 0) > (logits[image * classes + best] ?? 0))
        best = label;
    }
    return best;
  });
}

/** Of each test image, whether its prediction is right. */
export function correctOf(logits: Logits, { classes, test }: Dataset): boolean[] {
  return Array.from(predictions(logits, classes), (label, i) => label === test.labels[i]);
}

/** Share of test images whose prediction is right, 0 to 1. */
export function accuracyOf(logits: Logits, dataset: Dataset): number {
  return correctOf(logits, dataset).filter(Boolean).length / dataset.test.count;
}

export interface Agreement {
  /** Share of images with the same prediction. */
  readonly share: number;
  /** Largest absolute difference of a logit. */
  readonly largestDifference: number;
}

/** How many images have another prediction. */
export function changedCount(a: Logits, b: Logits, classes: number): number {
  const second = predictions(b, classes);
  return predictions(a, classes).filter((label, i) => label !== second[i]).length;
}

export function agreementOf(a: Logits, b: Logits, classes: number): Agreement {
  const images = a.length / classes;
  const largestDifference = a.reduce(
    (largest, value, i) => Math.max(largest, Math.abs(value - (b[i] ?? NaN))),
    0,
  );
  return { share: (images - changedCount(a, b, classes)) / images, largestDifference };
}
