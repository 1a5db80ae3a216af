import type { Dataset } from "../../train/index.js";
import type { RuntimeModel } from "../../export/index.js";
import type { RuntimeAnswer, RuntimeRequest } from "./protocol.js";
import type { Runtime } from "./runtime.js";

export interface RuntimeProcess {
  /** @throws Error naming the runtime when it fails, ends or does not answer */
  ask(request: RuntimeRequest): Promise<RuntimeAnswer>;
  isAlive(): boolean;
  stop(): void;
}

/** A process ended by a signal: for lack of memory, by somebody's hand, or because its model makes it crash. */
export class EndedBySignal extends Error {}

/** A process of a runtime that has run models before, and has the images of a test set. */
interface KeptProcess {
  readonly process: RuntimeProcess;
  readonly dataset: Dataset;
  /** Of the largest model that it has run. */
  readonly modelBytes: number;
}

/** By the name of the runtime; those that are at work are not among them. */
const idle = new Map<string, KeptProcess>();
/** Memory that a larger model left behind would be counted as a smaller one's. */
const LARGER = 2;
/** A process that waits holds what its last model took: little of such a model. */
const LARGEST_KEPT_BYTES = 2 ** 23;

/**
 * Works with a runtime's process: with the one that ran the model before, which has the images already, or
 * else a new one. A process in which anything failed is never used again; where it had run other models, a
 * new one tries again, so that a model fails by itself only. So does one after a process that a signal ended, once.
 *
 * @param start starts a process, with everything that it needs to know of the data set
 */
export async function withProcess<T>(
  { name }: Runtime,
  model: RuntimeModel,
  {
    dataset,
    start,
    work,
  }: {
    readonly dataset: Dataset;
    readonly start: () => Promise<RuntimeProcess>;
    readonly work: (process: RuntimeProcess) => Promise<T>;
  },
): Promise<T> {
  const { length } = model.bytes;
  const known = idle.get(name);
  idle.delete(name);
  if (
    known?.dataset === dataset &&
    known.modelBytes <= LARGER * length &&
    known.process.isAlive()
  ) {
    try {
      const result = await work(known.process);
      keep(name, { ...known, modelBytes: Math.max(length, known.modelBytes) });
      return result;
    } catch {
      known.process.stop();
    }
  } else known?.process.stop();
  const runAlone = async () => {
    const process = await start();
    try {
      const result = await work(process);
      keep(name, { process, dataset, modelBytes: length });
      return result;
    } catch (error) {
      process.stop();
      throw error;
    }
  };
  try {
    return await runAlone();
  } catch (error) {
    if (error instanceof EndedBySignal) return runAlone();
    throw error;
  }
}

function keep(name: string, kept: KeptProcess): void {
  const other = idle.get(name); // of a model that ran at the same time
  if (other !== undefined || kept.modelBytes > LARGEST_KEPT_BYTES) kept.process.stop();
  else idle.set(name, kept);
}
