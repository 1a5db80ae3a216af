import * as tf from "#tf";
import type { QuantizerSite, QuantizerValues } from "../algorithm.js";
import type { Experiment, Laboratory, Policy, RandomNumbers, Score } from "../laboratory.js";
import { learnedBound } from "../pact.js";
import { descend, startDescent, withinNorm, type Descent } from "./descent.js";
import type { Narrowing } from "./channelGenes.js";
import type { Space } from "./evolution.js";
import { drawAccepted, drawPath, policyOf, type Path } from "./genes.js";
import { imagesOf } from "./batches.js";
import { measuredBatches, measuredStatistics } from "./recalibration.js";
import { atWidth, codesAt } from "./runtimeGrid.js";
import { runtimePact } from "./runtimePact.js";
import { nameAtWidth } from "./servedWidths.js";
import { nameAt, valuesAt } from "./siteValues.js";

/** A supernet between two epochs of its training. */
export interface Supernet {
  /** Parameters, and the clips of each site at each of its widths. */
  readonly descent: Descent;
  /** Of each step. */
  readonly losses: readonly number[];
}

/** How each batch's path is drawn: every choice equally likely, or first how much the path costs. */
export type Sampling = "uniform" | "costBins";

/** Spread over all classes (as in the published code). */
const LABEL_SMOOTHING = 0.1;
/** First rate of the supernet, in the matrix's peak rates of quantized training. */
const RATE = 5;
/**
 * Longest gradient of all parameters and clips together. At 2 bits whole channels become 0, and batch norm
 * then multiplies what comes back by 300, in several layers one behind the other.
 */
const LONGEST_GRADIENT = 1;

type Subject = Pick<Laboratory, "parameters" | "sites">;

const bitsOf = (site: QuantizerSite, policy: Policy): number =>
  policy[site.id] ?? site.scheme.bitWidth;

/** How the supernet names a clip, which is another one at each width. */
const clipAt = (site: QuantizerSite, name: string, bits: number): string =>
  nameAtWidth(nameAt(site, name), bits);

/** PACT's first clips. */
const firstClips = (site: QuantizerSite, bits: number): QuantizerValues =>
  site.role === "weight" ? {} : learnedBound.initialize([], atWidth(site, bits));

/** All parameters, and first clips for every width that a path may ask for. */
export function startSupernet({ parameters, sites }: Subject, { genes }: Space): Supernet {
  const clips = sites.flatMap((site) => {
    const widths = genes.flatMap((gene) => gene.map((part) => bitsOf(site, part)));
    return [...new Set([site.scheme.bitWidth, ...widths])].flatMap((bits) =>
      Object.entries(firstClips(site, bits)).map(
        ([name, value]) => [clipAt(site, name, bits), value] as const,
      ),
    );
  });
  return { descent: startDescent({ ...parameters, ...Object.fromEntries(clips) }), losses: [] };
}

/** A path's network: what its steps read of all that the supernet has. */
function inputsOf(
  { parameters, sites }: Subject,
  tensors: QuantizerValues,
  policy: Policy,
): QuantizerValues {
  const own = Object.keys(parameters).map((name) => [name, tensors[name]] as const);
  const values = sites.flatMap((site) => {
    const bits = bitsOf(site, policy);
    const { lowest, highest } = codesAt(site, bits);
    const clips = Object.keys(firstClips(site, bits)).map(
      (name) => [name, tensors[clipAt(site, name, bits)]] as const,
    );
    return [...clips, ["lowest", lowest] as const, ["highest", highest] as const].map(
      ([name, value]) => [nameAt(site, name), value] as const,
    );
  });
  return Object.fromEntries([...own, ...values]) as QuantizerValues;
}

/** Gradients by the names that the supernet has for what a path's network reads. */
function ofSupernet(
  sites: readonly QuantizerSite[],
  gradients: QuantizerValues,
  policy: Policy,
): QuantizerValues {
  const clips = new Map(
    sites.flatMap((site) => {
      const bits = bitsOf(site, policy);
      return Object.keys(firstClips(site, bits)).map(
        (name) => [nameAt(site, name), clipAt(site, name, bits)] as const,
      );
    }),
  );
  return Object.fromEntries(
    Object.entries(gradients).map(([name, gradient]) => [clips.get(name) ?? name, gradient]),
  );
}

/** How a path's network is computed; all of the channels where no narrowing says which. */
function computing(narrowing: Narrowing | undefined): Pick<Experiment, "quantize" | "after"> {
  return {
    quantize(x, site, inputs) {
      const isNarrowed = site.role === "weight" && narrowing !== undefined;
      const own = isNarrowed ? narrowing.kernel(x, site.id, inputs) : x;
      return runtimePact(own, valuesAt(site, inputs), site);
    },
    ...(narrowing && { after: narrowing.after }),
  };
}

/** The path of a batch. */
export function samplePath(
  { genes, cost, budget }: Space,
  sampling: Sampling,
  random: RandomNumbers,
): Path {
  if (sampling === "uniform") return drawPath(genes, random);
  const bin = random.integer(BINS);
  const end = (i: number) => budget * (FIRST_BIN + ((LAST_BIN - FIRST_BIN) * i) / BINS);
  const isInBin = (path: Path) => cost(path) >= end(bin) && cost(path) < end(bin + 1);
  return drawAccepted(genes, random, isInBin) ?? drawPath(genes, random);
}
/** Equal parts of what lies around the budget, as in the code: of 290 to 360 MFLOPs, where 330 are allowed. */
const BINS = 7;
const FIRST_BIN = 290 / 330;
const LAST_BIN = 360 / 330;

/**
 * Trains weights that all paths share: every batch goes through one path alone, and only what lies on it
 * learns (SPOS, section 3.3).
 */
export async function trainSupernet(
  laboratory: Laboratory,
  space: Space,
  {
    steps,
    sampling,
    narrowing,
    longestGradient = LONGEST_GRADIENT,
  }: {
    readonly steps: number;
    readonly sampling: Sampling;
    readonly narrowing?: Narrowing | undefined;
    readonly longestGradient?: number;
  },
): Promise<Supernet> {
  const { prepare, epoch, random, rounds, sites, parameters, descent: rule } = laboratory;
  const shared = Object.keys(parameters).filter((name) => !/\/(mean|variance)$/.test(name));
  const clips = sites.flatMap((site) =>
    Object.keys(firstClips(site, site.scheme.bitWidth)).map((name) => nameAt(site, name)),
  );
  const run = prepare({
    ...{ by: [...shared, ...clips], training: true, ...computing(narrowing) },
    loss: ({ crossEntropy, logits }) =>
      tf.sub(
        tf.mul(crossEntropy, 1 - LABEL_SMOOTHING),
        tf.mul(tf.mean(tf.logSoftmax(logits)), LABEL_SMOOTHING),
      ),
  });
  return rounds<Supernet>("supernet", () => startSupernet(laboratory, space), {
    most: Infinity,
    done: ({ losses }) => losses.length >= steps,
    async round({ descent, losses }, index) {
      const numbers = random(`paths ${String(index)}`);
      const known = [...losses];
      let current = descent;
      for (const batch of epoch(`supernet ${String(index)}`)) {
        const step = known.length;
        if (step >= steps) break;
        const policy = policyOf(space.genes, samplePath(space, sampling, numbers));
        const own = inputsOf(laboratory, current.tensors, policy);
        const { loss, gradients } = await run({ ...own, ...narrowing?.masks(policy) }, batch);
        if (!Number.isFinite(loss))
          throw new RangeError(
            `the loss of the supernet became ${String(loss)} at step ${String(step + 1)}`,
          );
        const rate = RATE * rule.rate * (1 - step / steps);
        const slopes = withinNorm(ofSupernet(sites, gradients, policy), longestGradient);
        current = descend(current, slopes, { ...rule, rate });
        known.push(loss);
      }
      return { descent: current, losses: known };
    },
  });
}

/** Tries paths of a trained supernet, and what that costs. */
export interface Judge {
  readonly visits: number;
  readonly judge: (policy: Policy) => Promise<Score>;
}

/**
 * Tries policies with the weights of a supernet, as they are: batch norm is measured anew, then held-out
 * images are classified (section 3.4). Each leaves a line in the trace.
 *
 * @param options.measures false: with the running statistics of the float network, for seeing what
 * measuring is worth
 * @param options.narrowing where policies say how many channels there are, too
 */
export function judgeOf(
  laboratory: Laboratory,
  { descent: { tensors } }: Supernet,
  {
    measures = true,
    narrowing,
  }: { readonly measures?: boolean; readonly narrowing?: Narrowing | undefined } = {},
): Judge {
  const { prepare, heldOut, note } = laboratory;
  const measured = measures ? measuredBatches(laboratory) : [];
  const measure = prepare({ by: [], training: true, ...computing(narrowing) });
  const run = prepare({ by: [], training: false, ...computing(narrowing) });
  return {
    visits: imagesOf(measured) + imagesOf(heldOut),
    async judge(policy) {
      const own = { ...inputsOf(laboratory, tensors, policy), ...narrowing?.masks(policy) };
      const inputs = { ...own, ...(await measuredStatistics(measure, own, measured)) };
      let [correct, loss] = [0, 0];
      for (const batch of heldOut) {
        const found = await run(inputs, batch);
        correct += found.correct;
        loss += found.loss * batch.labels.data.length;
      }
      const images = imagesOf(heldOut);
      const score = { accuracy: correct / images, loss: loss / images };
      note({ ...(narrowing?.decided(policy) ?? { policy }), ...score });
      return score;
    },
  };
}
