import { fork, type ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import { channelsFirst, collectLogits, type Dataset, type Logits } from "../../train/index.js";
import type { RuntimeAnswer, RuntimeRequest } from "./protocol.js";
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

/**
 * Executes a model on the whole test set in a process of its own.
 *
 * @param batched fixes `RUNTIME_BATCH` images at a time, where the form fixes a number
 * @throws Error naming the runtime when it cannot load or run the model, or dies
 */
export async function runOn(
  runtime: Runtime,
  batched: RuntimeModel,
  dataset: Dataset,
): Promise<RuntimeRun> {
  const { test, shape } = dataset;
  const [height = 1, width = 1, channels = 1] = shape;
  const imageShape = [channels, height, width];
  const size = height * width * channels;
  const child = startProcess(runtime);
  try {
    await child.load(batched, imageShape);
    let milliseconds = 0;
    let peakBytes = 0;
    const logits = await collectLogits(
      dataset,
      async ({ images }) => {
        const given = runtime.layout === "NCHW" ? channelsFirst(images).data : images.data;
        const count = images.shape[0] ?? 0;
        // A form with a fixed batch gets its last one filled up with black images.
        const batch = batched.batch ?? count;
        const filled = new Float32Array(batch * size);
        filled.set(given);
        const answer = await child.ask({ type: "infer", images: filled, batch });
        if (answer.type !== "logits") throw new Error("the runtime gave no logits");
        milliseconds += answer.milliseconds;
        peakBytes = Math.max(peakBytes, answer.peakBytes);
        return answer.logits.subarray(0, (answer.logits.length / batch) * count);
      },
      RUNTIME_BATCH,
    );
    return { logits, imagesPerSecond: (test.count / milliseconds) * 1000, peakBytes };
  } finally {
    child.stop();
  }
}

/**
 * Milliseconds of single inferences of one image.
 *
 * @param single the model for one image at a time
 */
export async function timeOn(
  runtime: Runtime,
  single: RuntimeModel,
  {
    shape: imageShape,
    milliseconds,
  }: { readonly shape: readonly number[]; readonly milliseconds: number },
): Promise<readonly number[]> {
  const child = startProcess(runtime);
  try {
    await child.load(single, imageShape);
    const images = new Float32Array(imageShape.reduce((a, b) => a * b, 1)).fill(0.5);
    const answer = await child.ask({ type: "time", milliseconds, images });
    return answer.type === "times" ? answer.milliseconds : [];
  } finally {
    child.stop();
  }
}

// The built file, also where this module runs from its source.
const PROCESS = createRequire(import.meta.url).resolve(
  "#package/dist/pipelines/deploy/runtimes/runtimeProcess.js",
);

interface RuntimeProcess {
  /** @param shape [channels, height, width] */
  load(model: RuntimeModel, shape: readonly number[]): Promise<void>;
  ask(request: RuntimeRequest): Promise<RuntimeAnswer>;
  stop(): void;
}

function startProcess({ title, loader }: Runtime): RuntimeProcess {
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
  const ask = (request: RuntimeRequest): Promise<RuntimeAnswer> =>
    new Promise((resolve, reject) => {
      const fail = (what: string) => {
        reject(new Error(`${title} ${what}`));
      };
      const patience = setTimeout(() => {
        child.kill("SIGKILL");
        fail(`gave no answer for ${String(PATIENCE_MS / 1000)} s`);
      }, PATIENCE_MS);
      const onExit = (code: number | null, signal: string | null) => {
        clearTimeout(patience);
        fail(`ended (${signal ?? `exit code ${String(code)}`}): ${printed.trim()}`);
      };
      child.once("exit", onExit);
      child.once("message", (message) => {
        clearTimeout(patience);
        child.off("exit", onExit);
        const answer = message as RuntimeAnswer;
        if (answer.type === "failed") fail(`failed: ${answer.message}`);
        else resolve(answer);
      });
      child.send(request);
    });
  return {
    ask,
    async load({ bytes, kernels = "shipped" }, shape) {
      await ask({ type: "load", loader, model: bytes, options: { shape, kernels } });
    },
    stop() {
      child.kill("SIGKILL");
    },
  };
}
