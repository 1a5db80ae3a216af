import * as tf from "#tf";
import type { Quantizer, QuantizerSite, QuantizerTensors } from "../../algorithms/algorithm.js";
import type { Check } from "./check.js";
import { gradientsAt, numbers, sample, SHAPE, toTensors, toValues } from "./subject.js";

/** Large, but with squares that a sum still holds. */
const HUGE = 1e15;
const DENORMAL = 1e-40;
const RATE = 0.01;

export interface Case {
  readonly title: string;
  readonly site: QuantizerSite;
  readonly calibration: tf.Tensor;
  readonly x: tf.Tensor;
}

/** Tensors that training meets, where roots, logarithms and quotients are infinite. */
export function casesAt(site: QuantizerSite): Case[] {
  const normal = sample(site, 3);
  const times = (factor: number) => tf.mul(normal, factor);
  const value = (at: (i: number, channel: number) => number) =>
    tf.tensor(
      Array.from({ length: normal.size }, (_, i) => at(i, i % SHAPE[3])),
      [...SHAPE],
    );
  const channels = value((i, channel) => {
    const other = [0, 0.3, DENORMAL, HUGE][channel];
    return other ?? (channel === 4 ? Number(i === 4) : 1) * (Math.abs(Math.sin(i)) + 0.1);
  });
  const itself = (title: string, x: tf.Tensor, place = site): Case => {
    return { title, site: place, calibration: x, x };
  };
  const only = { ...site, shape: site.shape.map(() => 1) };
  const zeros = tf.zerosLike(normal);
  // Where channels have scales of their own, one tensor has all kinds.
  const kinds = [
    itself("one value again and again", tf.fill([...SHAPE], 0.3)),
    itself(
      "one value among zeros",
      value((i) => Number(i === 40)),
    ),
    itself("denormal values", times(DENORMAL)),
    itself("huge values", times(HUGE)),
  ];
  return [
    ...(site.scheme.granularity === "perChannel"
      ? [itself("dead, constant, denormal, huge and single values in a channel each", channels)]
      : kinds),
    itself("nothing but zeros", zeros),
    itself("a single value", tf.fill([1, 1, 1, 1], 0.7), only),
    { title: "huge values after usual ones", site, calibration: normal, x: times(HUGE) },
    { title: "usual values after zeros", site, calibration: zeros, x: normal },
  ];
}

interface Run {
  readonly quantizer: Quantizer;
  readonly site: QuantizerSite;
  readonly x: tf.Tensor;
  readonly state: QuantizerTensors;
}

/** What a step of gradient descent computes, and the output after it. */
export function step({ quantizer, site, x, state }: Run): Record<string, tf.Tensor> {
  const learned = quantizer.learned.filter((name) => name in state);
  const y = quantizer.fakeQuantize(x, state, site);
  const dy = tf.slice(
    sample({ nonNegative: false }, 8),
    [0, 0, 0, 0],
    [...SHAPE].map((size, i) => Math.min(size, x.shape[i] ?? 1)),
  );
  const gradients = gradientsAt({ quantizer, site, state }, { x, dy, learned });
  const after = (value: tf.Tensor, name: string) =>
    tf.sub(value, tf.mul(gradients[name] as tf.Tensor, RATE));
  const trained = Object.fromEntries(
    learned.map((name) => [name, after(state[name] as tf.Tensor, name)]),
  );
  const moved = site.role === "weight" ? after(x, "x") : x;
  return {
    "the output": y,
    ...prefixed("the gradient of", gradients),
    ...(site.role === "weight" && { "x after a step": moved }),
    ...prefixed("after a step", trained),
    "the output after a step": quantizer.fakeQuantize(moved, { ...state, ...trained }, site),
  };
}

export const prefixed = (prefix: string, tensors: Readonly<Record<string, tf.Tensor>>) =>
  Object.fromEntries(Object.entries(tensors).map(([name, t]) => [`${prefix} ${name}`, t]));

export function stateFrom(quantizer: Quantizer, { site, calibration }: Case): QuantizerTensors {
  const observed = toValues(quantizer.observe(calibration, site));
  return toTensors(quantizer.initialize([observed], site));
}

export function notFinite(title: string, results: Readonly<Record<string, ArrayLike<number>>>) {
  for (const [name, data] of Object.entries(results)) {
    const wrong = Array.from(data).find((value) => !Number.isFinite(value));
    if (wrong !== undefined) return `${title}: ${name} is ${String(wrong)}`;
  }
  return undefined;
}

/**
 * No gradient is a product of 0 and infinity, and no step leaves what cannot be trained further: not
 * of dead channels, constant tensors, single, denormal or huge values.
 */
export const staysFinite: Check = {
  name: "all stays finite on dead channels, constant, single, denormal and huge values",
  run({ quantizer, site }) {
    for (const entry of casesAt(site)) {
      const problem = tf.tidy(() => {
        const state = stateFrom(quantizer, entry);
        const results = step({ quantizer, site: entry.site, x: entry.x, state });
        const read = Object.entries(results).map(
          ([name, tensor]) => [name, numbers(tensor)] as const,
        );
        return notFinite(entry.title, Object.fromEntries(read));
      });
      if (problem !== undefined) return problem;
    }
    return undefined;
  },
};
