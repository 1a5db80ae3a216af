import cos from "@stdlib/math-base-special-cos";
import ln from "@stdlib/math-base-special-ln";
import type { Laboratory, Policy, RandomNumbers } from "../laboratory.js";
import { backOff } from "./backOff.js";

/** Every width equally likely, then as low as the budget asks. */
export function randomPolicy(laboratory: Laboratory, random: RandomNumbers): Policy {
  const { free, widths } = laboratory;
  const drawn = free.map(({ id, role }) => {
    const choices = widths[role];
    return [id, choices[random.integer(choices.length)] ?? NaN] as const;
  });
  return backOff(Object.fromEntries(drawn), laboratory);
}

/** A number of the standard normal distribution (Box and Muller). */
export function normal(random: RandomNumbers): number {
  const radius = Math.sqrt(-2 * ln(1 - random.uniform()));
  return radius * cos(2 * Math.PI * random.uniform());
}
