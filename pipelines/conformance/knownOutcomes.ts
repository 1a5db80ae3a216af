import type { Quantizer } from "../../algorithms/algorithm.js";

/** What came out when quantizers, which several algorithms share, were tried: by quantizer and by what was tried. */
export class KnownOutcomes<Outcome> {
  readonly #ofQuantizers = new WeakMap<Quantizer, Map<string, Outcome>>();

  get(quantizer: Quantizer, tried: string): Outcome | undefined {
    return this.#ofQuantizers.get(quantizer)?.get(tried);
  }

  set(quantizer: Quantizer, tried: string, outcome: Outcome): Outcome {
    const known = this.#ofQuantizers.get(quantizer) ?? new Map<string, Outcome>();
    this.#ofQuantizers.set(quantizer, known.set(tried, outcome));
    return outcome;
  }
}
