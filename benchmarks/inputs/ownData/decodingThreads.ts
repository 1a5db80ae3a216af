import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from "node:worker_threads";
import type { Decoded, ThreadData } from "./decodingThread.js";
import { type Picture, prepared } from "./prepared.js";

const MOST_THREADS = 4;
/** Pictures that may wait to be taken; of more, those that were asked for first are given up. */
const MOST_WAITING = 1024;
/** Milliseconds without any picture after which one is decoded here. */
const PATIENCE_MS = 30_000;

// The built file, also where this module runs from its source.
const THREAD = createRequire(import.meta.url).resolve(
  "#package/dist/benchmarks/inputs/ownData/decodingThread.js",
);

interface Thread {
  readonly worker: Worker;
  readonly results: MessagePort;
}

/**
 * Threads that decode pictures before they are needed, while the process computes. They start with
 * the first picture that is asked for, and do not keep the process from ending.
 */
class DecodingThreads {
  readonly #decoded = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #threads: Thread[] = [];
  /** Pictures that were asked for and not taken, by what is asked for. */
  readonly #asked = new Map<string, number>();
  /** Those of them that are ready. */
  readonly #ready = new Map<number, Decoded>();
  /** What is to come, and will be wanted. */
  readonly #open = new Set<number>();
  #next = 0;

  /** Has a picture decoded soon. */
  ask(picture: Picture): void {
    const key = keyOf(picture);
    if (this.#asked.has(key)) return;
    this.#start();
    for (const [old, id] of this.#asked) {
      if (this.#asked.size < MOST_WAITING) break;
      this.#asked.delete(old);
      this.#open.delete(id);
      this.#ready.delete(id);
    }
    const id = this.#next++;
    this.#asked.set(key, id);
    this.#open.add(id);
    this.#threads[id % this.#threads.length]?.worker.postMessage({ id, ...picture });
  }

  /** A picture that was asked for, or any other. @throws Error as `prepared` does */
  take(picture: Picture): Uint8Array {
    const key = keyOf(picture);
    const id = this.#asked.get(key);
    if (id === undefined) return prepared(picture);
    this.#asked.delete(key);
    for (;;) {
      const seen = Atomics.load(this.#decoded, 0);
      this.#receive();
      const found = this.#ready.get(id);
      if (found === undefined) {
        if (Atomics.wait(this.#decoded, 0, seen, PATIENCE_MS) !== "timed-out") continue;
        this.#open.delete(id);
        return prepared(picture); // its thread may have ended
      }
      this.#ready.delete(id);
      if ("reason" in found) throw new Error(found.reason);
      return found.pixels;
    }
  }

  #receive(): void {
    for (const { results } of this.#threads) {
      for (;;) {
        const received = receiveMessageOnPort(results) as { readonly message: Decoded } | undefined;
        if (received === undefined) break;
        const { message } = received;
        if (this.#open.delete(message.id)) this.#ready.set(message.id, message);
      }
    }
  }

  #start(): void {
    if (this.#threads.length > 0) return;
    const count = Math.min(MOST_THREADS, availableParallelism());
    for (let i = 0; i < count; i++) {
      const { port1: results, port2 } = new MessageChannel();
      const workerData: ThreadData = { results: port2, decoded: this.#decoded };
      const worker = new Worker(THREAD, { workerData, transferList: [port2], execArgv: [] });
      worker.unref();
      results.unref();
      this.#threads.push({ worker, results });
    }
  }
}

const keyOf = ({ file, size, preprocessing }: Picture): string =>
  JSON.stringify([file, size, preprocessing]);

/** Those of this process. */
export const decodingThreads = new DecodingThreads();
