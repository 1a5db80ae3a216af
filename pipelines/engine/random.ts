import { createHash } from "node:crypto";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";

/** A stream of random numbers; the only source of randomness in the project. */
export interface RandomStream {
  /** A number in [0, 1). */
  uniform(): number;
  /** A whole number from 0 to `below` - 1. */
  integer(below: number): number;
  /** Where the stream is: `resumedStream` goes on from there. */
  state(): readonly number[];
}

/**
 * A stream of its own for every purpose, so that one more draw in one place changes nothing
 * elsewhere.
 *
 * @param name what the numbers are for, e.g. "order"
 */
export function randomStream(seed: number, name: string): RandomStream {
  const digest = createHash("sha256")
    .update(`${String(seed)}/${name}`)
    .digest();
  const state = [0, 4, 8, 12].map((offset) => digest.readInt32LE(offset));
  return resumedStream(state);
}

/** The stream that gave this state, from there on. */
export function resumedStream(state: readonly number[]): RandomStream {
  const generator = xoroshiro128plusFromState(state);
  return {
    uniform: () => uniformFloat64(generator),
    integer: (below) => uniformInt(generator, 0, below - 1),
    state: () => generator.getState(),
  };
}

/** A random order of 0 ... length - 1 (Fisher and Yates). */
export function permutation(length: number, random: RandomStream): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    const [a = 0, b = 0] = [order[i], order[j]];
    order[i] = b;
    order[j] = a;
  }
  return order;
}
