// A thread that times networks. Whoever wants the time waits on `timed`, not for events.
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { timeByTurns } from "../tuning/timeByTurns.js";

export interface ClockQuestion {
  readonly model: Uint8Array;
  /** [channels, height, width] */
  readonly shape: readonly number[];
}

/** Milliseconds of an image in each round, or why there are none. */
export type ClockAnswer = { readonly times: readonly number[] } | { readonly reason: string };

export interface ClockData {
  readonly results: MessagePort;
  /** How many networks were timed. */
  readonly timed: Int32Array;
}

/** Shorter than where forms are compared: a search asks for hundreds. */
const TURNS = { rounds: 5, milliseconds: 8 };

const { results, timed } = workerData as ClockData;

parentPort?.on("message", ({ model, shape }: ClockQuestion) => {
  void timeByTurns([model], shape, TURNS)
    .then(([times = []]): ClockAnswer => ({ times }))
    .catch((error: unknown): ClockAnswer => ({ reason: (error as Error).message }))
    .then((answer) => {
      results.postMessage(answer);
      Atomics.add(timed, 0, 1);
      Atomics.notify(timed, 0);
    });
});
