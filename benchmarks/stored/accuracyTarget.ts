import type { Behavior, PartlyQuantized, SiteBits } from "../../pipelines/deploy/index.js";
import type { Part } from "./sensitivity.js";

/** A network some of whose layers have more bits: what that costs, and what it gives. */
export interface Raised {
  /** Bits of layers that do not have their own, by layer; 32 is float. */
  readonly layers: Readonly<Record<string, number>>;
  /** Products weighted with both operands' bits, of one image. */
  readonly bitOps: number;
  readonly behavior: Behavior;
}

/** What a layer may have instead of its own bits. */
export interface RaisedLayer {
  readonly part: Part;
  /** Rising. */
  readonly bits: readonly number[];
}

type Raises = Readonly<Record<string, number>>;

interface Target {
  readonly network: Pick<PartlyQuantized, "deployed" | "inFloat">;
  readonly layers: readonly RaisedLayer[];
  /** What sites have that are not raised. */
  readonly own: SiteBits;
  readonly bitOps: (bits: SiteBits) => number;
  /** As a share of images. */
  readonly mostLost: number;
  readonly onTry: (tried: number) => void;
}

export interface AccuracyTarget {
  /** Everything that was tried, on the runtime. */
  readonly tried: readonly Raised[];
  /** The cheapest of them that loses no more than may be lost; absent where none does. */
  readonly chosen: Raised | undefined;
  /** Bits of its sites that are raised. */
  readonly sites: SiteBits | undefined;
}

/**
 * Looks for the fewest bit operations with which a network loses no more than `mostLost`: raises layers
 * one step after another, always that which takes most off the loss for what it costs, as measured with it alone, until
 * everything is in float; then, from the first that is good enough, lowers whatever can be lowered.
 */
export async function reachAccuracy(target: Target): Promise<AccuracyTarget> {
  const { network, layers, own, bitOps, mostLost } = target;
  const parts = new Map(layers.map(({ part }) => [part.layer, part]));
  const known = new Map<string, Raised>();
  const sitesOf = (raises: Raises): SiteBits => sharedBits(raises, parts, own);
  const attempt = async (raises: Raises): Promise<Raised> => {
    const sites = sitesOf(raises);
    const key = JSON.stringify(Object.entries(sites).sort());
    const found = known.get(key) ?? {
      ...{ layers: raises, bitOps: bitOps(sites) },
      behavior: await network.deployed(sites),
    };
    known.set(key, found);
    target.onTry(known.size);
    return found;
  };
  const isEnough = ({ behavior }: Raised): boolean =>
    losesAtMost(mostLost, network.inFloat(), behavior);

  const start = await attempt({});
  let raises: Raises = {};
  let enough = isEnough(start) ? start : undefined;
  for (const { layer, bits } of stepsByWorth(await worths(target, start, attempt))) {
    raises = { ...raises, [layer]: bits };
    const found = await attempt(raises);
    if (isEnough(found)) enough ??= found;
  }
  if (enough !== undefined) await lower(enough.layers, { layers, attempt, isEnough });
  const tried = [...known.values()].toSorted((a, b) => a.bitOps - b.bitOps);
  const chosen = tried.find(isEnough);
  return { tried, chosen, sites: chosen && sitesOf(chosen.layers) };
}

/** Whether accuracies lie no further apart; shares of images are rounded in their last bits. */
export const losesAtMost = (most: number, inFloat: Behavior, { accuracy }: Behavior): boolean =>
  inFloat.accuracy - accuracy <= most + 1e-9;

/** Bits of sites; one that several layers share has the most that any of them asks for. */
export function sharedBits(
  raises: Raises,
  parts: ReadonlyMap<string, Part>,
  own: SiteBits,
): SiteBits {
  const bits: Record<string, number> = {};
  for (const [layer, wanted] of Object.entries(raises))
    for (const site of parts.get(layer)?.sites ?? [])
      bits[site] = Math.max(bits[site] ?? own[site] ?? 0, wanted);
  return bits;
}

interface Step {
  readonly layer: string;
  readonly bits: number;
  /** What it takes off the loss for each bit operation more than the step before. */
  readonly worth: number;
}

/** For each layer its raises in order of rising cost, each with its loss alone. */
async function worths(
  { layers }: Target,
  start: Raised,
  attempt: (raises: Raises) => Promise<Raised>,
): Promise<readonly (readonly Step[])[]> {
  const found: (readonly Step[])[] = [];
  for (const { part, bits } of layers) {
    const points = [{ bits: 0, bitOps: start.bitOps, loss: start.behavior.loss }];
    for (const width of bits) {
      const { bitOps, behavior } = await attempt({ [part.layer]: width });
      points.push({ bits: width, bitOps, loss: behavior.loss });
    }
    found.push(upperSteps(part.layer, points));
  }
  return found;
}

/** The steps of the convex hull: each is worth no more than the one before, down to none at all. */
function upperSteps(
  layer: string,
  points: readonly { readonly bits: number; readonly bitOps: number; readonly loss: number }[],
): readonly Step[] {
  const steps: Step[] = [];
  for (let from = 0; from < points.length - 1;) {
    const start = points[from];
    const ahead = points.slice(from + 1).map(({ bits, bitOps, loss }, i) => ({
      ...{ place: from + 1 + i, layer, bits },
      worth: ((start?.loss ?? NaN) - loss) / Math.max(bitOps - (start?.bitOps ?? NaN), 1),
    }));
    const best = ahead.reduce((a, b) => (b.worth > a.worth ? b : a));
    // Where steps cost nothing, a later one may be worth more; it still comes later.
    const worth = Math.min(best.worth, steps.at(-1)?.worth ?? Infinity);
    steps.push({ layer, bits: best.bits, worth });
    from = best.place;
  }
  return steps;
}

const stepsByWorth = (steps: readonly (readonly Step[])[]): readonly Step[] =>
  steps.flat().toSorted((a, b) => b.worth - a.worth);

/** Lowers one layer after another, the last raised first, until none can be lowered and stay good enough. */
async function lower(
  from: Raises,
  {
    layers,
    attempt,
    isEnough,
  }: {
    readonly layers: readonly RaisedLayer[];
    readonly attempt: (raises: Raises) => Promise<Raised>;
    readonly isEnough: (found: Raised) => boolean;
  },
): Promise<void> {
  let raises = from;
  const widths = new Map(layers.map(({ part, bits }) => [part.layer, bits]));
  for (let before: Raises | undefined; before !== raises;) {
    before = raises;
    for (const layer of Object.keys(raises).toReversed()) {
      const { [layer]: bits = 0, ...others } = raises;
      const next = widths.get(layer)?.findLast((width) => width < bits);
      const lowered = next === undefined ? others : { ...raises, [layer]: next };
      if (isEnough(await attempt(lowered))) raises = lowered;
    }
  }
}
