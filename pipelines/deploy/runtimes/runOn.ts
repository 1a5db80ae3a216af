import { fork, type ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import type { Socket } from "node:net";
import {
  batchesInOrder,
  channelsFirst,
  checkFinite,
  type Dataset,
  imagePace,
  type ImageProgress,
  type Logits,
} from "../../train/index.js";
import { EndedBySignal, type RuntimeProcess, withProcess } from "./keptProcesses.js";
import type { RuntimeAnswer } from "./protocol.js";
import type { Runtime } from "./runtime.js";
import type { RuntimeModel } from "../../export/index.js";

export interface RuntimeRun {
  /** Of every test image. */
  readonly logits: Logits;
  /** While it went through the test set. */
  readonly imagesPerSecond: number;
  /** What the runtime, the model and its work added to the empty process, at most. */
  readonly peakBytes: number;
}

/** Images at a time; divides the usual test sets, and fits the caches of small networks. */
export const RUNTIME_BATCH = 50;

/** Milliseconds that one answer may take: the largest networks need seconds for a batch. */
const PATIENCE_MS = 300_000;

/** Test sets up to this size stay in the processes of runtimes. */
const KEPT_BYTES = 2 ** 28;

/**
 * Executes a model on the whole test set in a process of the runtime's own.
 *
 * @param batched fixes `RUNTIME_BATCH` images at a time, where the form fixes a number
 * @throws Error naming the runtime when it cannot load or run the model, or dies
 */
export function runOn(
  runtime: Runtime,
  batched: RuntimeModel,
  { dataset, onImages }: Images,
): Promise<RuntimeRun> {
  return withProcess(runtime, batched, {
    dataset,
    start: () => startWithImages(runtime, dataset),
    work: (child) => runIn(child, { runtime, model: batched, dataset, onImages }),
  });
}

/** The test set, and whoever wants to know how far it is. */
interface Images {
  readonly dataset: Dataset;
  readonly onImages?: ((progress: ImageProgress) => void) | undefined;
}

interface Work extends Images {
  readonly runtime: Runtime;
  readonly model: RuntimeModel;
}

/** Whether a data set's test images stay in the processes, instead of being sent for each model. */
const staysThere = ({ test, shape }: Dataset): boolean =>
  test.count * shape.reduce((a, b) => a * b, Float32Array.BYTES_PER_ELEMENT) <= KEPT_BYTES;

/** Test images a batch at a time, as a runtime wants them. */
function* runtimeBatches({ layout }: Runtime, dataset: Dataset): Generator<Float32Array, void> {
  for (const { images } of batchesInOrder(dataset, dataset.test, RUNTIME_BATCH))
    yield (layout === "NCHW" ? channelsFirst(images) : images).data as Float32Array;
}

async function startWithImages(runtime: Runtime, dataset: Dataset): Promise<RuntimeProcess> {
  const child = startProcess(runtime);
  try {
    if (staysThere(dataset))
      for (const images of runtimeBatches(runtime, dataset))
        await child.ask({ type: "keep", images });
  } catch (error) {
    child.stop();
    throw error;
  }
  return child;
}

async function runIn(child: RuntimeProcess, work: Work): Promise<RuntimeRun> {
  const { runtime, model, dataset, onImages } = work;
  const { count } = dataset.test;
  await load(child, work);
  const told = imagePace(count, onImages);
  const logits = new Float32Array(count * dataset.classes);
  const sent = staysThere(dataset) ? undefined : runtimeBatches(runtime, dataset);
  const [warm, cold] = [new Pace(), new Pace()];
  let peakBytes = 0;
  for (let start = 0; start < count; start += RUNTIME_BATCH) {
    const images = sent === undefined ? start / RUNTIME_BATCH : sent.next().value;
    if (images === undefined) throw new Error("the test set has fewer images than it says");
    const given = Math.min(RUNTIME_BATCH, count - start);
    const batch = model.batch ?? given;
    const answer = await child.ask({ type: "infer", images, batch });
    if (answer.type !== "logits") throw new Error("the runtime gave no logits");
    (answer.warm ? warm : cold).add(given, answer.milliseconds);
    peakBytes = Math.max(peakBytes, answer.peakBytes);
    const found = answer.logits.subarray(0, (answer.logits.length / batch) * given);
    logits.set(found, start * dataset.classes);
    told(start + given);
  }
  checkFinite(logits, dataset);
  const { imagesPerSecond } = warm.images > 0 ? warm : cold;
  return { logits, imagesPerSecond, peakBytes };
}

class Pace {
  images = 0;
  #milliseconds = 0;

  add(images: number, milliseconds: number): void {
    this.images += images;
    this.#milliseconds += milliseconds;
  }
  get imagesPerSecond(): number {
    return (this.images / this.#milliseconds) * 1000;
  }
}

const imageShape = ({ shape: [height = 1, width = 1, channels = 1] }: Dataset): number[] => [
  ...[channels, height, width],
];

async function load(child: RuntimeProcess, { runtime, model, dataset }: Work): Promise<void> {
  const { loader } = runtime;
  const { bytes, kernels = "shipped" } = model;
  const options = { shape: imageShape(dataset), kernels };
  await child.ask({ type: "load", loader, model: bytes, options });
}

/**
 * Milliseconds of single inferences of one image.
 *
 * @param single the model for one image at a time
 */
export function timeOn(
  runtime: Runtime,
  single: RuntimeModel,
  { dataset, milliseconds }: { readonly dataset: Dataset; readonly milliseconds: number },
): Promise<readonly number[]> {
  return withProcess(runtime, single, {
    dataset,
    start: () => startWithImages(runtime, dataset),
    async work(child) {
      await load(child, { runtime, model: single, dataset });
      const images = new Float32Array(imageShape(dataset).reduce((a, b) => a * b, 1)).fill(0.5);
      const answer = await child.ask({ type: "time", milliseconds, images });
      return answer.type === "times" ? answer.milliseconds : [];
    },
  });
}

/** A file that this project did not write. */
export interface ForeignModel {
  readonly bytes: Uint8Array;
  /** Of its input: [channels, height, width], or what is no image, without the batch. */
  readonly shape: readonly number[];
  /** Images at a time. */
  readonly batch: number;
  readonly output: string;
}

/**
 * What a file from elsewhere gives for batches, in a process of its own, which it may end.
 *
 * @param batches as the runtime wants them
 * @throws Error naming the runtime when it cannot load or run the file, or dies
 */
export async function scoresOn(
  runtime: Runtime,
  { bytes, shape, batch, output }: ForeignModel,
  batches: readonly Float32Array[],
): Promise<Float32Array[]> {
  const child = startProcess(runtime);
  try {
    const options = { shape, output, kernels: "shipped" } as const;
    await child.ask({ type: "load", loader: runtime.loader, model: bytes, options });
    const scores: Float32Array[] = [];
    for (const images of batches) {
      const answer = await child.ask({ type: "infer", images, batch });
      if (answer.type === "logits") scores.push(answer.logits);
    }
    return scores;
  } finally {
    child.stop();
  }
}

// The built file, also where this module runs from its source.
const PROCESS = createRequire(import.meta.url).resolve(
  "#package/dist/pipelines/deploy/runtimes/runtimeProcess.js",
);

function startProcess({ title }: Runtime): RuntimeProcess {
  const child: ChildProcess = fork(PROCESS, [], {
    serialization: "advanced",
    // What libraries print is only of interest when they fail.
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    execArgv: [],
  });
  let printed = "";
  child.stderr?.on("data", (text: Buffer) => {
    printed = (printed + text.toString()).slice(-2000);
  });
  // A process that waits for another model must not keep this one from ending.
  child.unref();
  (child.stderr as Socket | null)?.unref();
  child.channel?.unref();
  return {
    isAlive: () => child.connected && child.exitCode === null,
    ask: (request) =>
      new Promise<RuntimeAnswer>((resolve, reject) => {
        child.channel?.ref();
        const fail = (what: string) => {
          reject(new Error(`${title} ${what}`));
        };
        const patience = setTimeout(() => {
          child.kill("SIGKILL");
          fail(`gave no answer for ${String(PATIENCE_MS / 1000)} s`);
        }, PATIENCE_MS);
        const onExit = (code: number | null, signal: string | null) => {
          clearTimeout(patience);
          const how =
            code === null ? (signal ?? "before it was asked") : `exit code ${String(code)}`;
          const message = `${title} ended (${how}): ${printed.trim()}`;
          reject(code === null ? new EndedBySignal(message) : new Error(message));
        };
        child.once("exit", onExit);
        child.once("message", (message) => {
          clearTimeout(patience);
          child.off("exit", onExit);
          const answer = message as RuntimeAnswer;
          if (answer.type === "failed") fail(`failed: ${answer.message}`);
          else resolve(answer);
        });
        child.send(request, (error) => {
          if (error !== null) onExit(child.exitCode, child.signalCode);
        });
      }).finally(() => {
        child.channel?.unref();
      }),
    stop() {
      child.kill("SIGKILL");
    },
  };
}
