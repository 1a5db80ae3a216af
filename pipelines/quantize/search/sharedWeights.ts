import type { QuantizerValues } from "../../../algorithms/algorithm.js";
import type { RandomNumbers, Search, SharedValues } from "../../../algorithms/laboratory.js";
import { averaged, shared } from "../../../algorithms/search/clusters.js";

/** Bits of the weights that share values, by their site. */
export type SharedBits = ReadonlyMap<string, number>;

/** Puts weights into clusters for policies that are tried, and keeps them there while they train. */
export class SharedWeights {
  readonly #clusters: NonNullable<Search["clusters"]>;
  readonly #random: (name: string) => RandomNumbers;
  readonly #parameters: QuantizerValues;
  readonly #known = new Map<string, SharedValues>();

  /** @param parameters of the float network, from which every trial starts */
  constructor(
    clusters: NonNullable<Search["clusters"]>,
    parameters: QuantizerValues,
    random: (name: string) => RandomNumbers,
  ) {
    this.#clusters = clusters;
    this.#parameters = parameters;
    this.#random = random;
  }

  /** The float network's parameters with weights that share values. */
  start(bits: SharedBits): QuantizerValues {
    return this.#with(this.#parameters, bits, (id, width) => shared(this.#first(id, width)));
  }

  /** After a step: every cluster becomes its mean, as if its gradients had been averaged. */
  step(tensors: QuantizerValues, bits: SharedBits): QuantizerValues {
    return this.#with(tensors, bits, (id, width, weights) => {
      const first = this.#first(id, width);
      return first.trainsAlone ? weights : shared(averaged(weights, first));
    });
  }

  /** What trained alone is clustered. */
  end(tensors: QuantizerValues, bits: SharedBits): QuantizerValues {
    return this.#with(tensors, bits, (id, width, weights) =>
      this.#first(id, width).trainsAlone ? shared(this.#cluster(id, width, weights)) : weights,
    );
  }

  #first(id: string, bits: number): SharedValues {
    const key = `${String(bits)} bits of ${id}`;
    const known =
      this.#known.get(key) ?? this.#cluster(id, bits, weightsAt(this.#parameters, id).data);
    this.#known.set(key, known);
    return known;
  }

  #cluster(id: string, bits: number, weights: Float32Array): SharedValues {
    return this.#clusters(weights, bits, this.#random(`clusters of ${String(bits)} bits of ${id}`));
  }

  #with(
    tensors: QuantizerValues,
    bits: SharedBits,
    change: (id: string, bits: number, weights: Float32Array) => Float32Array,
  ): QuantizerValues {
    const changed = [...bits].map(([id, width]) => {
      const { shape, data } = weightsAt(tensors, id);
      return [id, { shape, data: change(id, width, data) }] as const;
    });
    return { ...tensors, ...Object.fromEntries(changed) };
  }
}

function weightsAt(tensors: QuantizerValues, id: string) {
  const weights = tensors[id];
  if (weights === undefined) throw new TypeError(`there are no weights of ${id}`);
  return weights;
}
