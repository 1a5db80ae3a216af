import * as tf from "#tf";
import type { Check } from "./check.js";
import { gradientsAt, numbers, SHAPE, toTensors, type Subject } from "./subject.js";
import { rangeOf } from "../../algorithms/affine.js";

/** Places near the ends of a grid, in steps inwards from the last integer. */
const DEPTHS = [0.25, -0.25, -0.75] as const;
type End = "lowest" | "highest";

/**
 * A value a quarter of a step beyond the last integer rounds to it: it gets a gradient if a
 * quantizer asks where the rounded value lies, and none if it asks where the value itself does.
 */
export const passesInRange: Check = {
  name: "values get a gradient where the quantizer says that they do",
  run(subject) {
    const { passes } = subject.quantizer;
    if (passes === undefined || !hasFixedGrid(subject)) return undefined;
    for (const end of ["lowest", "highest"] as const) {
      if (end === "lowest" && subject.site.nonNegative) continue;
      for (const depth of DEPTHS) {
        const expected = depth > 0 || passes === "all" || (passes === "rounded" && depth > -0.5);
        const passed = gradientNear(subject, end, depth);
        const wrong = passed.find((gradient) => (gradient !== 0) !== expected);
        if (wrong === undefined) continue;
        const where = `${String(Math.abs(depth))} steps ${depth > 0 ? "inside" : "beyond"} the ${end} integer`;
        return `the gradient ${where} is ${String(wrong)}, but "${passes}" values pass`;
      }
    }
    return undefined;
  },
};

/** Whether equal steps, which do not follow x, decide. */
export function hasFixedGrid({ quantizer, site, values }: Subject): boolean {
  const state = toTensors(values);
  const follows =
    site.role === "weight" && (Object.keys(values).length === 0 || "logits" in values);
  return !follows && !("rounding" in values) && quantizer.codebook?.(state, site) === undefined;
}

/** Lowest and highest integer of each scale, counted in steps from 0, and the step. */
export function gridEnds({ quantizer, site, values }: Subject) {
  const { scale, zeroPoint } = quantizer.quantParams(toTensors(values), site);
  const { quantMin, quantMax } = rangeOf(site);
  return { scale, lowest: tf.sub(quantMin, zeroPoint), highest: tf.sub(quantMax, zeroPoint) };
}

function gradientNear(subject: Subject, end: End, depth: number): Float32Array {
  const ends = gridEnds(subject);
  const inwards = end === "lowest" ? depth : -depth;
  const x = tf.mul(tf.ones([...SHAPE]), tf.mul(tf.add(ends[end], inwards), ends.scale));
  const at = { x, dy: tf.onesLike(x), learned: [] };
  return numbers(
    gradientsAt({ ...subject, state: toTensors(subject.values) }, at)["x"] as tf.Tensor,
  );
}
