import { STAGES, type Finding, type Findings, type Stage, type Subject } from "./stages.js";

/** A cell at work: asked for a finding it runs the stages that lead there, each once. */
export class StagedCell {
  /** How long each stage took, by its title. */
  readonly seconds: Record<string, number> = {};
  readonly #subject: Subject;
  readonly #found: Partial<Findings> = {};

  constructor(subject: Subject) {
    this.#subject = subject;
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
    return result;
  }
}
