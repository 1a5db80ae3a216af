import { STAGES, type Finding, type Findings, type Stage, type Subject } from "./stages.js";

/** What is the same for all cells of one training. */
const OF_TRAINING = ["checkpoint", "trained", "simulated", "frozen"] as const;
export type TrainingFindings = Partial<{
  -readonly [F in (typeof OF_TRAINING)[number]]: Findings[F];
}>;

/** A cell at work: asked for a finding it runs the stages that lead there, each once. */
export class StagedCell {
  /** How long each stage took, by its title; what a cell of the same training found is not among them. */
  readonly seconds: Record<string, number> = {};
  readonly #subject: Subject;
  readonly #shared: TrainingFindings;
  readonly #found: Partial<Findings>;

  /** @param shared findings of cells of the same training, which new ones are added to */
  constructor(subject: Subject, shared: TrainingFindings = {}) {
    this.#subject = subject;
    this.#shared = shared;
    this.#found = { ...shared };
  }

  async find<F extends Finding>(finding: F): Promise<Findings[F]> {
    const known = this.#found[finding];
    if (known !== undefined) return known;
    const stage: Stage<F> = STAGES[finding];
    for (const need of stage.needs) await this.find(need);
    this.#subject.context.onProgress(stage.title);
    const start = performance.now();
    const result = await stage.run(this.#subject, this.#found as Findings);
    this.seconds[stage.title] = (performance.now() - start) / 1000;
    this.#found[finding] = result;
    if (OF_TRAINING.some((name) => name === finding))
      Object.assign(this.#shared, { [finding]: result });
    return result;
  }
}
