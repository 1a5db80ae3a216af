import type { QuantizerSite, QuantizerValues } from "../algorithm.js";
import type { ChannelBits, Laboratory, Policy } from "../laboratory.js";
import {
  bitsOf,
  codesAbove,
  isUnsigned,
  LEAST_BITS,
  LEAST_STEP,
  usedStep,
} from "./stepAndRange.js";
import { nameAt } from "./siteValues.js";

/** What the tensors of each role take together, in bits. */
export type Memory = Readonly<Record<QuantizerSite["role"], number>>;

export interface Penalty {
  /** 0 where both budgets hold. */
  readonly penalty: number;
  /** By the steps and ranges, "site:step" and "site:range". */
  readonly gradients: Readonly<Record<string, Float64Array>>;
}

const sizeOf = ({ shape }: QuantizerSite): number => shape.reduce((a, b) => a * b, 1);

function valueAt(site: QuantizerSite, values: QuantizerValues, name: "step" | "range") {
  const value = values[nameAt(site, name)];
  if (value === undefined) throw new TypeError(`${site.id} has no ${name}`);
  return value;
}

/** Step and range of each slice of a site. */
function slicesOf(site: QuantizerSite, values: QuantizerValues) {
  const range = valueAt(site, values, "range").data;
  const step = valueAt(site, values, "step").data;
  return Array.from(step, (one, i) => ({ step: one, range: range[i] ?? NaN }));
}

function bitsAndGradients(site: QuantizerSite, values: QuantizerValues) {
  return slicesOf(site, values).map(({ step, range }) =>
    bitsOf({ step: usedStep(step, site), range }, isUnsigned(site), LEAST_BITS),
  );
}

/** Bits of each slice of a site. */
export const sliceBits = (site: QuantizerSite, values: QuantizerValues): readonly number[] =>
  bitsAndGradients(site, values).map(({ bits }) => bits);

/** What sites take together: elements times the mean bits of their slices. */
export function memoryOf(sites: readonly QuantizerSite[], values: QuantizerValues): Memory {
  const memory = { weight: 0, activation: 0 };
  for (const site of sites) {
    const bits = sliceBits(site, values);
    memory[site.role] += (sizeOf(site) * bits.reduce((a, b) => a + b, 0)) / bits.length;
  }
  return memory;
}

/** What the matrix's bits take: the budgets. */
export function memoryAllowed(sites: readonly QuantizerSite[]): Memory {
  const memory = { weight: 0, activation: 0 };
  for (const site of sites) memory[site.role] += sizeOf(site) * site.scheme.bitWidth;
  return memory;
}

/** The squared excess over each budget, as a part of it, with its gradients. */
export function memoryPenalty(sites: readonly QuantizerSite[], values: QuantizerValues): Penalty {
  const [memory, allowed] = [memoryOf(sites, values), memoryAllowed(sites)];
  const excess = (role: QuantizerSite["role"]) =>
    allowed[role] > 0 ? Math.max(0, memory[role] / allowed[role] - 1) : 0;
  const gradients: Record<string, Float64Array> = {};
  for (const site of sites) {
    const slices = bitsAndGradients(site, values);
    const share = sizeOf(site) / (slices.length * allowed[site.role]);
    const by = (name: "byStep" | "byRange") =>
      Float64Array.from(slices, (slice) => 2 * excess(site.role) * share * slice[name]);
    gradients[nameAt(site, "step")] = by("byStep");
    gradients[nameAt(site, "range")] = by("byRange");
  }
  const [ofWeights, ofActivations] = [excess("weight"), excess("activation")];
  return { penalty: ofWeights * ofWeights + ofActivations * ofActivations, gradients };
}

/** Steps and ranges of a site after an update: each moves by at most a part of the step, within what widths hold. */
export function movedSlices(
  site: QuantizerSite,
  values: QuantizerValues,
  {
    gradient,
    rate,
    widest,
  }: {
    readonly gradient: (name: string, index: number) => number;
    readonly rate: number;
    readonly widest: number;
  },
): QuantizerValues {
  const moved = slicesOf(site, values).map(({ step, range }, i) => {
    const by = (name: string) =>
      rate * Math.min(step, Math.max(-step, gradient(nameAt(site, name), i)));
    const top = Math.max(range - by("range"), 2 * LEAST_STEP);
    const least = Math.max(LEAST_STEP, top / codesAbove(site, widest));
    const next = Math.max(least, step - by("step"));
    return { step: next, range: Math.max(top, next * (1 + 1e-5)) };
  });
  const named = (name: "step" | "range") => {
    const { shape } = valueAt(site, values, name);
    return { shape, data: Float32Array.from(moved, (slice) => slice[name]) };
  };
  return { [nameAt(site, "step")]: named("step"), [nameAt(site, "range")]: named("range") };
}

/** Bits by site, and by channel where weights have slices. */
export function policyOf(
  sites: readonly QuantizerSite[],
  values: QuantizerValues,
): { readonly policy: Policy; readonly channels: ChannelBits } {
  const bits = sites.map((site) => [site.id, sliceBits(site, values)] as const);
  return {
    policy: Object.fromEntries(bits.map(([id, own]) => [id, Math.max(...own)])),
    channels: Object.fromEntries(bits.filter(([, own]) => own.length > 1)),
  };
}

type Asked = Pick<Laboratory, "budget" | "cost" | "free">;

/** Whether both budgets hold, and that of the search, by whose models devices are judged. */
export function fitsMemory({ budget, cost, free }: Asked, values: QuantizerValues): boolean {
  const [memory, allowed] = [memoryOf(free, values), memoryAllowed(free)];
  if (memory.weight > allowed.weight || memory.activation > allowed.activation) return false;
  const { policy, channels } = policyOf(free, values);
  return cost(policy, undefined, { channels }) <= budget;
}

/** Steps of the roles that are over their budgets grow evenly until those hold. */
export function coarsened(laboratory: Asked, values: QuantizerValues): QuantizerValues {
  const { free } = laboratory;
  const grown = {
    gradient: (name: string) => (name.endsWith(":step") ? -Infinity : 0),
    rate: 0.02,
  };
  let current = values;
  while (!fitsMemory(laboratory, current)) {
    const before = current;
    if (free.every((site) => sliceBits(site, before).every((bits) => bits === LEAST_BITS)))
      throw new RangeError("even the least bits are over the budget");
    const [memory, allowed] = [memoryOf(free, before), memoryAllowed(free)];
    const over = free.filter(({ role }) => memory[role] > allowed[role]);
    const next = (over.length > 0 ? over : free).map((site) =>
      movedSlices(site, before, { ...grown, widest: 16 }),
    );
    current = Object.assign({ ...before }, ...next) as QuantizerValues;
  }
  return current;
}

/** Steps and ranges alone. */
export function slicedTensors(
  sites: readonly QuantizerSite[],
  values: QuantizerValues,
): QuantizerValues {
  return Object.fromEntries(
    sites.flatMap((site) =>
      (["step", "range"] as const).map((name) => [nameAt(site, name), valueAt(site, values, name)]),
    ),
  );
}
