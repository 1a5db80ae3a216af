import * as tf from "#tf";
import type { QuantizerTensors } from "../../algorithms/algorithm.js";
import { gradientsAt, learnedIn, numbers, type Subject } from "./subject.js";

/** How one value takes part in a change of all: what it becomes, and how fast it moves at first. */
interface Part {
  readonly after: (value: tf.Tensor) => tf.Tensor;
  readonly rate: (value: tf.Tensor) => tf.Tensor;
}
const kept: Part = { after: (v) => v, rate: (v) => tf.zerosLike(v) };
const doubled: Part = { after: (v) => tf.mul(v, 2), rate: (v) => v };
const logarithmOfDoubled: Part = {
  after: (v) => tf.add(v, 1),
  rate: (v) => tf.fill(v.shape, 1 / Math.LN2),
};
const moved = (by: tf.Tensor): Part => ({ after: (v) => tf.add(v, by), rate: () => by });

/** A change of x and of values that tell about it, and what it makes of the output. */
export interface Motion {
  readonly x: Part;
  readonly values: Readonly<Record<string, Part>>;
  readonly y: Part;
}

export interface Trial {
  readonly x: tf.Tensor;
  readonly dy: tf.Tensor;
}

/**
 * x and the values of its size double, and with them the output, unless it has no size. Values that
 * are not learned, such as limits, may have to take part.
 */
export function growthOf(subject: Subject, x: tf.Tensor): Motion | undefined {
  const outputs = [doubled, kept];
  const names = learnedIn(subject);
  // A quantizer that finds the size of x by itself has learned nothing about it.
  if (outputs.some((y) => fits(subject, x, { x: doubled, values: {}, y }))) return undefined;
  return outputs
    .flatMap((y) =>
      choices(Object.keys(subject.values), [doubled, kept, logarithmOfDoubled]).map((values) => ({
        ...{ x: doubled, values, y },
      })),
    )
    .filter(({ values }) => names.some((name) => values[name] !== kept))
    .find((motion) => fits(subject, x, motion));
}

/** x and the learned places of its grid move by whole steps, some counted in steps, as zero points. */
export function shiftOf(
  subject: Subject,
  x: tf.Tensor,
  { scale, steps }: { readonly scale: tf.Tensor; readonly steps: tf.Tensor },
): Motion | undefined {
  const by = moved(tf.mul(scale, steps));
  return choices(learnedIn(subject), [by, kept, moved(tf.neg(steps))])
    .map((values) => ({ x: by, values, y: by }))
    .find((motion) => fits(subject, x, motion, Math.min(...numbers(scale)) / 4));
}

/** Every way to give each name one of the parts. */
function choices(names: readonly string[], parts: readonly Part[]): Record<string, Part>[] {
  return names.reduce<Record<string, Part>[]>(
    (all, name) => all.flatMap((chosen) => parts.map((part) => ({ ...chosen, [name]: part }))),
    [{}],
  );
}

const stateOf = ({ values }: Subject): QuantizerTensors =>
  Object.fromEntries(
    Object.entries(values).map(([name, { shape, data }]) => [name, tf.tensor(data, [...shape])]),
  );

/** Whether the output moves as it must, but for a slack; if absent, a small part of its size. */
function fits(subject: Subject, x: tf.Tensor, motion: Motion, slack?: number): boolean {
  const { quantizer, site } = subject;
  const state = stateOf(subject);
  const after = Object.entries(motion.values).map(
    ([name, part]) => [name, part.after(state[name] as tf.Tensor)] as const,
  );
  const before = quantizer.fakeQuantize(x, state, site);
  const expected = motion.y.after(before);
  const actual = quantizer.fakeQuantize(
    motion.x.after(x),
    { ...state, ...Object.fromEntries(after) },
    site,
  );
  const [error = NaN] = numbers(tf.max(tf.abs(tf.sub(actual, expected))));
  const [size = NaN] = numbers(tf.max(tf.abs(expected)));
  return error <= (slack ?? 1e-4 * size);
}

/**
 * The gradients of learned values along a motion, over what the output has in excess of x. Whatever
 * straight-through gradients a quantizer has, their sum along the motion is the change of the output
 * (for growth that is Euler's theorem), so this is 1, or what scales gradients of learned values.
 */
export function shareAlong(
  subject: Subject,
  motion: Motion,
  { x, dy }: Trial,
  output = (y: tf.Tensor) => y,
): number {
  const { quantizer, site } = subject;
  const state = stateOf(subject);
  const names = learnedIn(subject);
  const gradients = gradientsAt({ quantizer, site, state }, { x, dy, learned: names });
  const y = output(quantizer.fakeQuantize(x, state, site));
  const along = (part: Part, value: tf.Tensor, gradient: tf.Tensor) =>
    tf.sum(tf.mul(part.rate(value), gradient));
  const learned = names.map((name) =>
    along(motion.values[name] ?? kept, state[name] as tf.Tensor, gradients[name] as tf.Tensor),
  );
  const sum = learned.reduce((a, b) => tf.add(a, b), tf.scalar(0));
  const excess = tf.sub(along(motion.y, y, dy), along(motion.x, x, gradients["x"] as tf.Tensor));
  return numbers(tf.div(sum, excess))[0] ?? NaN;
}
