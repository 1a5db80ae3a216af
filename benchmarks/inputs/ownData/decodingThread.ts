// A thread that decodes pictures. Whoever wants them waits on `decoded`, not for events.
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { type Picture, prepared } from "./prepared.js";

/** What a thread gives back for each picture. */
export type Decoded =
  | { readonly id: number; readonly pixels: Uint8Array }
  | { readonly id: number; readonly reason: string };

export interface ThreadData {
  readonly results: MessagePort;
  /** How many pictures all threads have decoded. */
  readonly decoded: Int32Array;
}

const { results, decoded } = workerData as ThreadData;

parentPort?.on("message", ({ id, ...picture }: Picture & { readonly id: number }) => {
  try {
    const pixels = prepared(picture);
    results.postMessage({ id, pixels } satisfies Decoded, [pixels.buffer]);
  } catch (error) {
    results.postMessage({ id, reason: (error as Error).message } satisfies Decoded);
  }
  Atomics.add(decoded, 0, 1);
  Atomics.notify(decoded, 0);
});
