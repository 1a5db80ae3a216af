import * as tf from "#tf";
import type { QuantizerValues } from "../../algorithms/algorithm.js";
import type { Check } from "./check.js";
import { gridEnds, hasFixedGrid } from "./inRange.js";
import { growthOf, shareAlong, shiftOf, type Motion, type Trial } from "./motion.js";
import { learnedIn, numbers, sample, SHAPE, type Subject } from "./subject.js";

type End = "lowest" | "highest";

/**
 * A learned value that misses a part of its gradient, such as what comes through a zero point, or
 * counts one twice, has other shares above the grid than below it, or where the grid is moved.
 */
export const gradientsAreWhole: Check = {
  name: "gradients of learned values add up to the change of the output",
  run(calibrated) {
    const subject = offTies(calibrated);
    const [end, ...others] = usefulEnds(subject);
    if (end === undefined) return undefined;
    const [first] = trials(subject, end);
    const growth = growthOf(subject, first.x);
    if (growth === undefined) return undefined;
    const share = shareAlong(subject, growth, first);
    if (!(share > 0)) return `beyond the ${end} integer they are ${String(share)} of it`;
    const slack = slackOf(subject);
    const differs = (other: number) => !(Math.abs(other / share - 1) <= slack);
    for (const which of [end, ...others]) {
      for (const trial of trials(subject, which)) {
        const found = sharesOf(subject, growth, trial);
        if (found.every(differs)) return problem("a larger tensor", which, found[0], share);
        const shift = shiftIn(subject, trial.x);
        const moved = shift === undefined ? share : shareAlong(subject, shift, trial);
        if (differs(moved)) return problem("a moved tensor", which, moved, share);
      }
    }
    return undefined;
  },
};

/** Doubling the batch changes nothing, or divides by the root of 2. */
export const gradientsFollowBatch: Check = {
  name: "gradients of learned values follow the batch as the quantizer says",
  run(calibrated) {
    const subject = offTies(calibrated);
    const [end] = usefulEnds(subject);
    if (end === undefined || subject.site.role !== "activation") return undefined;
    const [{ x, dy }] = trials(subject, end);
    const growth = growthOf(subject, x);
    if (growth === undefined) return undefined;
    const copied = (tensor: tf.Tensor, copies: number) => tf.tile(tensor, [copies, 1, 1, 1]);
    const [one = NaN, two = NaN] = [1, 2].map((copies) =>
      shareAlong(subject, growth, { x: copied(x, copies), dy: copied(dy, copies) }),
    );
    if (one === 0) return undefined; // another check's finding
    const expected = subject.quantizer.countsBatch ? Math.SQRT1_2 : 1;
    return Math.abs(two / one / expected - 1) <= 1e-2
      ? undefined
      : `twice the batch scales them by ${String(two / one)}, not by ${String(expected)}`;
  },
};

/** Ends of the grid at which something is clipped to more than 0; none where nothing is learned. */
function usefulEnds(subject: Subject): readonly End[] {
  if (learnedIn(subject).length === 0) return [];
  const ends: readonly End[] = subject.site.nonNegative ? ["highest"] : ["highest", "lowest"];
  if (!hasFixedGrid(subject)) return ends;
  const grid = gridEnds(subject);
  return ends.filter((end) => numbers(grid[end]).some((steps) => steps !== 0));
}

const problem = (what: string, end: End, found: number | undefined, share: number): string =>
  `${what}, clipped at the ${end} integer, gives ${String(found)} of it, elsewhere ${String(share)}`;

/** Learned values a little apart from where they start, which may be exactly between two grids. */
function offTies(subject: Subject): Subject {
  const learned = learnedIn(subject);
  const values: QuantizerValues = Object.fromEntries(
    Object.entries(subject.values).map(([name, { shape, data }]) => {
      const factor = 1 - 0.0031 * (learned.indexOf(name) + 1);
      return [name, { shape, data: data.map((value) => Math.fround(value * factor)) }];
    }),
  );
  return { ...subject, values };
}

/** On a grid whose place follows learned bounds, its ends lie up to half a step beside them. */
function slackOf(subject: Subject): number {
  const { scheme, nonNegative } = subject.site;
  if (scheme.symmetric || nonNegative) return 1e-2;
  if (scheme.scaleForm === "powerOfTwo") return Infinity;
  if (!hasFixedGrid(subject)) return 1e-2;
  const { lowest, highest } = gridEnds(subject);
  const nearest = Math.min(...numbers(highest), ...numbers(lowest).map(Math.abs));
  return 1e-2 + 1 / nearest;
}

/** A symmetric grid has one more integer below 0; a bound may be mirrored to that or to its own. */
function sharesOf(subject: Subject, growth: Motion, trial: Trial): number[] {
  const whole = shareAlong(subject, growth, trial);
  if (!subject.site.scheme.symmetric || !hasFixedGrid(subject)) return [whole];
  const { scale, highest } = gridEnds(subject);
  const mirrored = (y: tf.Tensor) => tf.maximum(y, tf.neg(tf.mul(scale, highest)));
  return [whole, shareAlong(subject, growth, trial, mirrored)];
}

function shiftIn(subject: Subject, x: tf.Tensor): Motion | undefined {
  const { scheme, nonNegative } = subject.site;
  if (scheme.symmetric || nonNegative || !hasFixedGrid(subject)) return undefined;
  const { scale, lowest } = gridEnds(subject);
  // 0 must stay between the ends.
  const up = tf.cast(tf.less(lowest, -1.5), "float32");
  return shiftOf(subject, x, { scale, steps: tf.sub(tf.mul(up, 2), 1) });
}

/** Values on the grid, a fourth of them beyond one end, with gradients that do not cancel. */
function trials(subject: Subject, end: End): readonly [Trial, Trial] {
  const x = hasFixedGrid(subject)
    ? onGridAndBeyond(subject, end)
    : tf.mul(sample(subject.site, 3), 3);
  const at = (seed: number): Trial => {
    const size = tf.add(tf.abs(sample({ nonNegative: false }, seed)), 0.5);
    return { x, dy: tf.mul(size, tf.sign(x)) };
  };
  return [at(31), at(32)];
}

function onGridAndBeyond(subject: Subject, end: End): tf.Tensor {
  const { scale, lowest, highest } = gridEnds(subject);
  const [, , , channels] = SHAPE;
  const positions = SHAPE.reduce((a, b) => a * b) / channels;
  const column = (at: (i: number) => number) =>
    tf.tensor(
      Array.from({ length: positions }, (_, i) => at(i)),
      [...SHAPE.slice(0, 3), 1],
    );
  const part = column((i) => (i + 0.5) / positions);
  const inner = tf.sub(tf.sub(highest, lowest), 2);
  const inside = tf.add(tf.add(lowest, 1), tf.round(tf.mul(part, inner)));
  const steps = subject.site.nonNegative ? tf.maximum(inside, tf.scalar(1)) : inside;
  const beyond = end === "lowest" ? tf.sub(lowest, 3) : tf.add(highest, 3);
  const isBeyond = column((i) => Number(i % 4 === 0));
  const all = tf.add(tf.mul(beyond, isBeyond), tf.mul(steps, tf.sub(1, isBeyond)));
  return tf.mul(tf.mul(all, scale), tf.ones([...SHAPE]));
}
