import type { QuantizerSite, QuantizerValues } from "../../../algorithms/algorithm.js";
import type { ImageBatch, Policy, Runs, Score, Search } from "../../../algorithms/laboratory.js";
import { descend, startDescent } from "../../../algorithms/search/descent.js";
import { atWidth, codesAt } from "../../../algorithms/search/runtimeGrid.js";
import { FLOAT_BITS } from "../../../backends/hardware/hardware.js";
import { parameterSpecs, valueName } from "../../network/index.js";
import type { Hyperparameters, SearchEffort } from "../../train/index.js";
import type { Network } from "../../../algorithms/network.js";
import type { PreparedExperiment } from "./experiment.js";
import type { SharedBits, SharedWeights } from "./sharedWeights.js";

interface Subject {
  readonly network: Network;
  readonly sites: readonly QuantizerSite[];
  readonly grids: NonNullable<Search["grids"]>;
  /** Where weights share values instead of lying on grids. */
  readonly shared: SharedWeights | undefined;
  readonly parameters: QuantizerValues;
  /** Of each site, what its quantizer observed of each calibration batch. */
  readonly observed: readonly (readonly QuantizerValues[])[];
  readonly heldOut: readonly ImageBatch[];
  /** As many training batches as fine-tuning has steps. */
  readonly tuning: () => Iterable<ImageBatch>;
  readonly hyperparameters: Pick<Hyperparameters, "momentum" | "weightDecay">;
  readonly fineTuning: SearchEffort["fineTuning"];
  readonly prepare: (by: readonly string[], training: boolean) => PreparedExperiment["run"];
}

/** Tries policies one after another; what they share is computed and compiled once. */
export class PolicyEvaluation {
  readonly #subject: Subject;
  readonly #grids = new Map<string, QuantizerValues>();
  readonly #trained: readonly string[];
  readonly #judge: Runs;
  readonly #tune: Runs;

  constructor(subject: Subject) {
    this.#subject = subject;
    this.#trained = [...parameterSpecs(subject.network)]
      .filter(([, { group }]) => group !== "statistics")
      .map(([name]) => name);
    this.#judge = subject.prepare([], false);
    this.#tune = subject.prepare(this.#trained, true);
  }

  async evaluate(policy: Policy, tuned: boolean): Promise<Score> {
    const { sites, heldOut, fineTuning, shared } = this.#subject;
    const grids: Record<string, QuantizerValues[string]> = {};
    const bitsOfShared = new Map<string, number>();
    sites.forEach((site, index) => {
      const bits = policy[site.id] ?? site.scheme.bitWidth;
      if (site.role === "weight" && shared !== undefined) bitsOfShared.set(site.id, bits);
      else Object.assign(grids, this.#gridOf(site, index, bits));
    });
    const isTuned = tuned && fineTuning.steps > 0;
    const start = shared?.start(bitsOfShared) ?? this.#subject.parameters;
    const parameters = isTuned ? await this.#tuned(start, grids, bitsOfShared) : start;
    let [correct, loss, images] = [0, 0, 0];
    for (const batch of heldOut) {
      const found = await this.#judge({ ...parameters, ...grids }, batch);
      const count = batch.labels.data.length;
      correct += found.correct;
      loss += found.loss * count;
      images += count;
    }
    return { accuracy: correct / images, loss: loss / images };
  }

  async #tuned(
    start: QuantizerValues,
    grids: QuantizerValues,
    bitsOfShared: SharedBits,
  ): Promise<QuantizerValues> {
    const { tuning, fineTuning, hyperparameters, shared } = this.#subject;
    const { momentum, weightDecay: decay } = hyperparameters;
    let descent = startDescent(start);
    for (const batch of tuning()) {
      const { loss, gradients, statistics } = await this.#tune(
        { ...descent.tensors, ...grids },
        batch,
      );
      if (!Number.isFinite(loss)) break; // judged as it is
      const rule = { rate: fineTuning.learningRate, momentum, decay };
      const { tensors, velocities } = descend(descent, gradients, rule);
      const moved = shared?.step(tensors, bitsOfShared) ?? tensors;
      descent = { tensors: { ...moved, ...statistics }, velocities };
    }
    return shared?.end(descent.tensors, bitsOfShared) ?? descent.tensors;
  }

  #gridOf(site: QuantizerSite, index: number, bits: number): QuantizerValues {
    const key = `${String(bits)} bits of ${site.id}`;
    const known = this.#grids.get(key);
    if (known !== undefined) return known;
    const { grids, observed } = this.#subject;
    const wide = bits === FLOAT_BITS ? site : atWidth(site, bits);
    const { scale, zeroPoint } = grids[site.role].initialize(observed[index] ?? [], wide);
    if (scale === undefined) throw new TypeError(`the quantizer of ${site.id} gives no scale`);
    const grid = Object.fromEntries(
      Object.entries({ scale, ...(zeroPoint && { zeroPoint }), ...codesAt(site, bits) }).map(
        ([name, value]) => [valueName(site, name), value],
      ),
    );
    this.#grids.set(key, grid);
    return grid;
  }
}
