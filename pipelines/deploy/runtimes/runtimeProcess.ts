// A process of one runtime, for one model after the other: what it needs of memory, and how it crashes, is its own.
import { readFileSync, writeFileSync } from "node:fs";
import type { RuntimeAnswer, RuntimeRequest } from "./protocol.js";
import { loaders, type LoadedModel } from "./loaders.js";

process.on("disconnect", () => process.exit(0));
process.on("message", (request: RuntimeRequest) => {
  answer(request).then(send, (error: unknown) => {
    send({ type: "failed", message: error instanceof Error ? error.message : String(error) });
  });
});

/** Where the machine is busy or the network large, time may be up before anything was timed. */
const FEWEST_TIMES = 5;
/** WebAssembly is compiled twice, the second time while it runs: 300 to 500 ms were seen. */
const WARM_UP_MS = 600;

/** Another model needs less: code is compiled by then, caches are not filled. */
const WARM_UP_AGAIN_MS = 100;

const kept: Float32Array[] = [];
let model: (LoadedModel & { readonly imageSize: number }) | undefined;
/** Of the process with its images, before it loaded a first model. */
let bytesBefore: number | undefined;
/** Milliseconds of inference so far. */
let inferred = 0;

async function answer(request: RuntimeRequest): Promise<RuntimeAnswer> {
  switch (request.type) {
    case "keep":
      kept.push(request.images);
      return { type: "kept" };
    case "load": {
      const { loader, model: bytes, options } = request;
      await model?.release();
      model = undefined;
      forgetPeak();
      bytesBefore ??= process.memoryUsage.rss();
      const imageSize = options.shape.reduce((a, b) => a * b, 1);
      model = { ...(await loaders[loader](bytes, options)), imageSize };
      return { type: "loaded" };
    }
    case "infer": {
      const { batch } = request;
      const images = exactly(imagesOf(request.images), batch * loaded().imageSize);
      const start = performance.now();
      const logits = await loaded().infer(images, batch);
      const milliseconds = performance.now() - start;
      const warm = inferred >= WARM_UP_MS;
      inferred += milliseconds;
      return {
        type: "logits",
        logits,
        milliseconds,
        warm,
        peakBytes: Math.max(0, peakBytes() - (bytesBefore ?? 0)),
      };
    }
    case "time": {
      const times: number[] = [];
      const warmUp = Math.max(WARM_UP_AGAIN_MS, WARM_UP_MS - inferred);
      const start = performance.now();
      for (;;) {
        const before = performance.now();
        const timeIsUp = before - start > warmUp + request.milliseconds;
        if (timeIsUp && times.length >= FEWEST_TIMES) break;
        await loaded().infer(request.images, 1);
        if (before - start >= warmUp) times.push(performance.now() - before);
      }
      return { type: "times", milliseconds: times };
    }
    default:
      return request satisfies never;
  }
}

function imagesOf(images: Float32Array | number): Float32Array {
  const found = typeof images === "number" ? kept[images] : images;
  if (found === undefined) throw new Error(`there is no batch ${String(images)} of the test set`);
  return found;
}

/** So many values, the last ones 0 where there are fewer. */
function exactly(values: Float32Array, length: number): Float32Array {
  if (values.length === length) return values;
  const filled = new Float32Array(length);
  filled.set(values);
  return filled;
}

function loaded() {
  if (model === undefined) throw new Error("no model was loaded");
  return model;
}

function send(message: RuntimeAnswer): void {
  if (process.connected) process.send?.(message);
}

/** Lets the peak begin anew: what starting took is no part of what a runtime needs. */
function forgetPeak(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // Elsewhere than on Linux, or not allowed: then the peak includes the start.
  }
}

/**
 * The most memory that this process had at once. On Linux what a process's usage calls its maximum
 * begins with the memory of the process that started it; "high water mark" does not.
 */
function peakBytes(): number {
  const kilobytes = /^VmHWM:\s*(\d+) kB$/m.exec(statusOfProcess())?.[1];
  return 1024 * (kilobytes === undefined ? process.resourceUsage().maxRSS : Number(kilobytes));
}

function statusOfProcess(): string {
  try {
    return readFileSync("/proc/self/status", "utf8");
  } catch {
    return "";
  }
}
