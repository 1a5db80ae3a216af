import { createHash } from "node:crypto";
import {
  FIRST_RUNTIME,
  probeSaturation,
  REFERENCE_RUNTIME,
  RUNTIME_BATCH,
  runOn,
  type Runtime,
  type Saturation,
  timeOn,
  WAYS_AROUND_SATURATION,
} from "../../pipelines/deploy/index.js";
import type { RuntimeModel } from "../../pipelines/export/index.js";
import type { Dataset, ImageProgress, Logits } from "../../pipelines/train/index.js";
import type { MeasuredRuntime } from "../../results/schema.js";
import { summarize } from "./latency.js";

const TIMED_MS = 150;

/** What a model gave on a runtime, and what was measured of it. */
export interface Execution {
  readonly logits: Logits;
  readonly measured: MeasuredRuntime;
}

/** Logits that this process remembers, at most. */
const REMEMBERED_VALUES = 2 ** 24;
const remembered = new Map<string, Execution>();

/**
 * Executes a model on the whole test set; one that is byte-equal to an earlier one was executed already.
 *
 * @param write the model for so many images at a time, always by the same name
 * @throws Error naming the runtime when it fails
 */
export async function execute(
  runtime: Runtime,
  write: (batch: number) => RuntimeModel,
  {
    dataset,
    onImages,
  }: { readonly dataset: Dataset; readonly onImages?: (progress: ImageProgress) => void },
): Promise<Execution> {
  const model = write(RUNTIME_BATCH);
  const key = keyOf(runtime, model, dataset);
  const known = remembered.get(key);
  if (known !== undefined) return known;
  const { logits, imagesPerSecond, peakBytes } = await runOn(runtime, model, { dataset, onImages });
  const latency = await latencyOn(runtime, () => write(1), dataset);
  const execution = {
    logits,
    measured: { imagesPerSecond, peakBytes, ...(latency && { latency }) },
  };
  remembered.set(key, execution);
  forgetOldest();
  return execution;
}

function keyOf({ name }: Runtime, { bytes, ...options }: RuntimeModel, dataset: Dataset): string {
  const { checksum, test, classes } = dataset;
  return createHash("sha256")
    .update(JSON.stringify([name, options, checksum, test.count, classes]))
    .update(bytes)
    .digest("hex");
}

function forgetOldest(): void {
  let values = [...remembered.values()].reduce((sum, { logits }) => sum + logits.length, 0);
  for (const [key, { logits }] of remembered) {
    if (values <= REMEMBERED_VALUES) break;
    remembered.delete(key);
    values -= logits.length;
  }
}

/**
 * The first runtime is timed beside the float network, elsewhere; the reference is not; and what
 * avoids saturation is where there is any, to say what that costs.
 */
const isTimed = ({ name }: Runtime, { saturates }: Saturation): boolean =>
  name !== FIRST_RUNTIME &&
  name !== REFERENCE_RUNTIME &&
  (saturates || !WAYS_AROUND_SATURATION.includes(name));

async function latencyOn(runtime: Runtime, single: () => RuntimeModel, dataset: Dataset) {
  if (!isTimed(runtime, await probeSaturation())) return undefined;
  return summarize(await timeOn(runtime, single(), { dataset, milliseconds: TIMED_MS }));
}
