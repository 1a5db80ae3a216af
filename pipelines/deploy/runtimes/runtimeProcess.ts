// A process for one model on one runtime: what it needs of memory, and how it crashes, is its own.
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

let model: LoadedModel | undefined;
let bytesBefore = 0;

async function answer(request: RuntimeRequest): Promise<RuntimeAnswer> {
  switch (request.type) {
    case "load": {
      const { loader, model: bytes, options } = request;
      forgetPeak();
      bytesBefore = process.memoryUsage.rss();
      model = await loaders[loader](bytes, options);
      return { type: "loaded" };
    }
    case "infer": {
      const start = performance.now();
      const logits = await loaded().infer(request.images, request.batch);
      const milliseconds = performance.now() - start;
      return {
        type: "logits",
        logits,
        milliseconds,
        peakBytes: Math.max(0, peakBytes() - bytesBefore),
      };
    }
    case "time": {
      const times: number[] = [];
      const start = performance.now();
      for (;;) {
        const before = performance.now();
        const timeIsUp = before - start > WARM_UP_MS + request.milliseconds;
        if (timeIsUp && times.length >= FEWEST_TIMES) break;
        await loaded().infer(request.images, 1);
        if (before - start >= WARM_UP_MS) times.push(performance.now() - before);
      }
      return { type: "times", milliseconds: times };
    }
    default:
      return request satisfies never;
  }
}

function loaded(): LoadedModel {
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
