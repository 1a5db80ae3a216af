import { type CompiledStep, type Engine, type HostTensors, sizeOf } from "../../engine/index.js";
import type { LearnedUnit, ReconstructionTask } from "./learnedUnit.js";
import { learningStep } from "./learningStep.js";

/** Steps that read more than this have memory that is worth more than the time to compile them. */
const MOST_KEPT_BYTES = 2 ** 25;

/** Compiled steps by the shape of what they learn; large ones only for one unit. */
export class StepCache {
  readonly #engine: Engine;
  readonly #task: ReconstructionTask;
  readonly #compiled = new Map<string, Promise<CompiledStep>>();
  readonly #large = new Set<string>();

  constructor(engine: Engine, task: ReconstructionTask) {
    this.#engine = engine;
    this.#task = task;
  }

  async get(unit: LearnedUnit, inputs: HostTensors): Promise<CompiledStep> {
    const key = `${unit.key} ${JSON.stringify(Object.keys(inputs))}`;
    const known = this.#compiled.get(key);
    if (known !== undefined) return known;
    const compiled = this.#engine.compile(learningStep(this.#task, unit), inputs);
    this.#compiled.set(key, compiled);
    const bytes = Object.values(inputs).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
    if (bytes > MOST_KEPT_BYTES) this.#large.add(key);
    return compiled;
  }

  /** A unit has learned. */
  async endUnit(): Promise<void> {
    for (const key of this.#large) {
      await (await this.#compiled.get(key))?.release();
      this.#compiled.delete(key);
    }
    this.#large.clear();
  }

  async release(): Promise<void> {
    for (const step of this.#compiled.values()) await (await step).release();
  }
}
