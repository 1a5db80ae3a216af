import type { RandomNumbers } from "../laboratory.js";

/** A dense layer: weights are [outputs, inputs], row-major. */
interface DenseLayer {
  readonly inputs: number;
  readonly outputs: number;
  readonly weights: Float64Array;
  readonly bias: Float64Array;
}

/** Dense layers with ReLU between them: plain data, so that it can be kept. */
export type Perceptron = readonly DenseLayer[];

/** Uniform within 1 / sqrt(inputs), as PyTorch starts its linear layers. */
export function perceptron(sizes: readonly number[], random: RandomNumbers): Perceptron {
  return sizes.slice(1).map((outputs, i) => {
    const inputs = sizes[i] ?? 1;
    const bound = 1 / Math.sqrt(inputs);
    const draw = () => (2 * random.uniform() - 1) * bound;
    return {
      ...{ inputs, outputs },
      weights: Float64Array.from({ length: inputs * outputs }, draw),
      bias: Float64Array.from({ length: outputs }, draw),
    };
  });
}

/** What each layer read, and what the last one gives. */
export interface Activations {
  readonly read: readonly Float64Array[];
  readonly output: Float64Array;
}

export function activate(network: Perceptron, input: Float64Array): Activations {
  const read: Float64Array[] = [];
  let current = input;
  network.forEach(({ inputs, outputs, weights, bias }, i) => {
    read.push(current);
    const next = Float64Array.from(bias);
    for (let row = 0; row < outputs; row++) {
      let sum = next[row] ?? NaN;
      for (let column = 0; column < inputs; column++)
        sum += (weights[row * inputs + column] ?? NaN) * (current[column] ?? NaN);
      next[row] = i === network.length - 1 ? sum : Math.max(sum, 0);
    }
    current = next;
  });
  return { read, output: current };
}

/** Zeros in the form of a network: where gradients are summed. */
export const zerosLike = (network: Perceptron): Perceptron =>
  network.map((layer) => ({
    ...layer,
    weights: new Float64Array(layer.weights.length),
    bias: new Float64Array(layer.bias.length),
  }));

/**
 * Adds the gradients of one sample to `sums`, if there are any.
 *
 * @param slope of the loss by the output
 * @returns that by the input
 */
export function propagate(
  network: Perceptron,
  { read }: Activations,
  slope: Float64Array,
  sums?: Perceptron,
): Float64Array {
  let current = slope;
  for (let i = network.length - 1; i >= 0; i--) {
    const { inputs, outputs, weights } = network[i] as DenseLayer;
    const sum = sums?.[i];
    const input = read[i] as Float64Array;
    const next = new Float64Array(inputs);
    for (let row = 0; row < outputs; row++) {
      const of = current[row] ?? NaN;
      if (of === 0) continue;
      const from = row * inputs;
      for (let column = 0; column < inputs; column++)
        next[column] = (next[column] ?? NaN) + of * (weights[from + column] ?? NaN);
      if (sum === undefined) continue;
      sum.bias[row] = (sum.bias[row] ?? NaN) + of;
      for (let column = 0; column < inputs; column++)
        sum.weights[from + column] =
          (sum.weights[from + column] ?? NaN) + of * (input[column] ?? NaN);
    }
    // What a layer but the first reads is a ReLU's output.
    current = i === 0 ? next : next.map((of, column) => ((input[column] ?? 0) > 0 ? of : 0));
  }
  return current;
}

/** Moments of Adam and its corrections. */
export interface Adam {
  readonly first: Perceptron;
  readonly second: Perceptron;
  /** beta1^t and beta2^t. */
  readonly decay: readonly [number, number];
}

export const startAdam = (network: Perceptron): Adam => ({
  first: zerosLike(network),
  second: zerosLike(network),
  decay: [1, 1],
});

const [BETA1, BETA2, EPSILON] = [0.9, 0.999, 1e-8];

/** One step of Adam (Kingma and Ba, 2015, algorithm 1); changes network and moments in place. */
export function stepAdam(
  network: Perceptron,
  adam: Adam,
  { gradients, rate }: { readonly gradients: Perceptron; readonly rate: number },
): Adam {
  const decay = [adam.decay[0] * BETA1, adam.decay[1] * BETA2] as const;
  network.forEach((layer, i) => {
    for (const part of ["weights", "bias"] as const) {
      const values = layer[part];
      const slope = gradients[i]?.[part] ?? values;
      const first = adam.first[i]?.[part] ?? values;
      const second = adam.second[i]?.[part] ?? values;
      values.forEach((value, j) => {
        const g = slope[j] ?? NaN;
        const m = BETA1 * (first[j] ?? NaN) + (1 - BETA1) * g;
        const v = BETA2 * (second[j] ?? NaN) + (1 - BETA2) * g * g;
        first[j] = m;
        second[j] = v;
        const mean = m / (1 - decay[0]);
        values[j] = value - (rate * mean) / (Math.sqrt(v / (1 - decay[1])) + EPSILON);
      });
    }
  });
  return { ...adam, decay };
}

/** Moves a target network a part of the way to another one, in place. */
export function follow(target: Perceptron, network: Perceptron, part: number): void {
  target.forEach((layer, i) => {
    for (const of of ["weights", "bias"] as const)
      layer[of].forEach((value, j) => {
        layer[of][j] = (1 - part) * value + part * (network[i]?.[of][j] ?? NaN);
      });
  });
}
