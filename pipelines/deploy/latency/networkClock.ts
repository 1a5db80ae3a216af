import { createRequire } from "node:module";
import {
  MessageChannel,
  receiveMessageOnPort,
  Worker,
  type MessagePort,
} from "node:worker_threads";
import { exportOnnx } from "../../export/index.js";
import { placeholders } from "../../freeze/index.js";
import { featureShapes, type QuantizedNetwork } from "../../network/index.js";
import { median } from "../median.js";
import type { ClockAnswer, ClockData, ClockQuestion } from "./clockThread.js";

/** A network that takes longer for a few images is none whose channels one would search by time. */
const PATIENCE_MS = 120_000;

// The built file, also where this module runs from its source.
const THREAD = createRequire(import.meta.url).resolve(
  "#package/dist/pipelines/deploy/latency/clockThread.js",
);

/**
 * Measures how long networks take on onnxruntime on this machine, one image on one thread. A search asks in the middle of a
 * computation, so that the answer is waited for: a thread of its own measures.
 */
export class NetworkClock {
  readonly #patienceMs: number;
  #thread: Thread | undefined;

  /** @param patienceMs after which a network counts as one that cannot be measured */
  constructor(patienceMs = PATIENCE_MS) {
    this.#patienceMs = patienceMs;
  }

  /**
   * Microseconds of a quantized network as it would be exported, whatever its weights: the median of rounds, of each of which the
   * fastest twentieth counts.
   *
   * @throws Error when onnxruntime does not run it
   */
  microseconds(quantized: QuantizedNetwork): number {
    const [height = 1, width = 1, channels = 1] =
      [...featureShapes(quantized.network).values()][0] ?? [];
    return this.microsecondsOf({
      model: exportOnnx(placeholders(quantized), "placeholders"),
      shape: [channels, height, width],
    });
  }

  /** @throws Error when onnxruntime does not run the model */
  microsecondsOf(question: ClockQuestion): number {
    const { worker, results, timed } = (this.#thread ??= start());
    const before = Atomics.load(timed, 0);
    worker.postMessage(question);
    if (Atomics.wait(timed, 0, before, this.#patienceMs) === "timed-out") {
      void this.close(); // its late answer must not be taken for the next network's
      throw new Error(
        `a network's time could not be measured within ${String(this.#patienceMs / 1000)} s`,
      );
    }
    const { message } = receiveMessageOnPort(results) as { readonly message: ClockAnswer };
    if ("reason" in message)
      throw new Error(`a network's time could not be measured: ${message.reason}`);
    return 1000 * median(message.times);
  }

  async close(): Promise<void> {
    const { worker, results } = this.#thread ?? {};
    this.#thread = undefined;
    results?.close();
    await worker?.terminate();
  }
}

interface Thread {
  readonly worker: Worker;
  readonly results: MessagePort;
  /** How many networks it has timed. */
  readonly timed: Int32Array;
}

function start(): Thread {
  const timed = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const { port1: results, port2 } = new MessageChannel();
  const workerData: ClockData = { results: port2, timed };
  const worker = new Worker(THREAD, { workerData, transferList: [port2], execArgv: [] });
  worker.unref();
  results.unref();
  return { worker, results, timed };
}
