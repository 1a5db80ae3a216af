import * as tf from "#tf";
import type { Quantizer, QuantizerSite } from "../../algorithms/algorithm.js";
import { randomStream } from "../engine/index.js";
import { KnownOutcomes } from "./knownOutcomes.js";
import { numbers, toTensors, toValues } from "./subject.js";

/** One property of how a quantizer gets its first values, on tensors of real sizes. */
interface CalibrationCheck {
  readonly name: string;
  /** Where it is worth its time, of all places that an algorithm serves. */
  readonly chosen: <Place extends { readonly site: QuantizerSite }>(
    places: readonly Place[],
  ) => readonly Place[];
  /** What is wrong, or nothing. */
  readonly run: (quantizer: Quantizer, site: QuantizerSite) => string | undefined;
}

/** 131,072 values, more than any observer need keep; powers of two, which strides like to share. */
const LARGE = {
  activation: { shape: [32, 16, 16, 16], axes: ["image", "row", "column", "channel"] },
  weight: { shape: [4, 4, 64, 128], axes: ["row", "column", "input channel", "output channel"] },
} as const;
/** How much larger the values of one index of one axis are than all others. */
const LOUD = 30;
/** Samples differ; what misses the loud values is off by a factor of about `LOUD`. */
const LARGEST_RATIO = 1.5;

/**
 * A tensor whose indices along an axis are in another order has the same distribution, so that its
 * first grid must be the same: a sample that sees some of the indices only gives itself away when the
 * one that matters is among the others.
 */
const seesEveryIndex: CalibrationCheck = {
  name: "calibration sees every channel, and every index of every other axis",
  // How values are kept does not follow from the number format.
  chosen: (places) =>
    firstOfEach(
      places.filter(({ site }) => site.scheme.granularity === "perTensor"),
      ({ role }) => role,
    ),
  run(quantizer, place) {
    const { shape, axes } = LARGE[place.role];
    const site = { ...place, shape: place.role === "weight" ? shape : shape.slice(1) };
    for (const [axis, name] of axes.entries()) {
      const size = shape[axis] ?? 1;
      const reaches = [0, 1, size - 1].map((index) => {
        const x = tf.tensor(withLoud(shape, { axis, index }, site), [...shape]);
        return [index, tf.tidy(() => firstReach(quantizer, site, x))] as const;
      });
      const [[, expected] = [0, NaN]] = reaches;
      for (const [index, reach] of reaches) {
        const ratio = reach / expected;
        if (!(ratio < LARGEST_RATIO && ratio > 1 / LARGEST_RATIO))
          return `its step or last threshold is ${String(expected)} where ${name} 0 is loud, ${String(reach)} where ${name} ${String(index)} is`;
      }
    }
    return undefined;
  },
};

/** How far the first values reach: a grid's step, the last level's threshold, or that level if its threshold is 0. */
function firstReach(quantizer: Quantizer, site: QuantizerSite, x: tf.Tensor): number {
  const values = toTensors(quantizer.initialize([toValues(quantizer.observe(x, site))], site));
  const weight = site.role === "weight" ? x : undefined;
  const codebook = quantizer.codebook?.(values, site, weight);
  if (codebook === undefined)
    return numbers(quantizer.quantParams(values, site, weight).scale)[0] ?? NaN;
  const [threshold, level] = [codebook.thresholds, codebook.levels].map((all) =>
    Math.max(...numbers(all).map(Math.abs)),
  );
  return (threshold ?? 0) > 0 ? (threshold ?? NaN) : (level ?? NaN);
}

/** The same values every time, those of index 0 loud and then exchanged with those of another index. */
function withLoud(
  shape: readonly number[],
  { axis, index }: { readonly axis: number; readonly index: number },
  { nonNegative }: QuantizerSite,
): Float32Array {
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const size = shape[axis] ?? 1;
  const loudAt = (i: number): number => Math.floor(i / inner) % size;
  return normalValues().map((_, i, all) => {
    const place = loudAt(i);
    const from = place === index ? 0 : place === 0 ? index : place;
    const value = (all[i + (from - place) * inner] ?? 0) * (from === 0 ? LOUD : 1);
    return nonNegative ? Math.max(value, 0) : value;
  });
}

let stored: Float32Array | undefined;

/** As many values as a large tensor has, of the standard normal distribution (Box and Muller). */
function normalValues(): Float32Array {
  const random = randomStream(1, "calibration checks");
  stored ??= Float32Array.from({ length: LARGE.weight.shape.reduce((a, b) => a * b, 1) }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random.uniform()));
    return radius * Math.cos(2 * Math.PI * random.uniform());
  });
  return stored;
}

/** How much larger the error of positive values may become. */
const LARGEST_LOSS = 20;

/**
 * Behind a ReLU half of all values are 0, and every grid holds 0: they say nothing about how far it
 * must reach. What weighs a histogram's bins by their counts and leaves that of 0 in clips most of the
 * others; rules that follow the mean or the deviation move, but by far less than that.
 */
const zerosDoNotClip: CalibrationCheck = {
  name: "zeros behind a ReLU do not clip the other values",
  // At 8 bits clipping is by far the larger part of the error.
  chosen: (places) =>
    firstOfEach(
      places.filter(({ site }) => site.nonNegative && site.scheme.bitWidth === 8),
      ({ scheme }) => JSON.stringify(scheme),
    ),
  run(quantizer, place) {
    const site = { ...place, shape: [8, 8, 16] };
    const positive = normalValues()
      .subarray(0, 2 ** 15)
      .map(Math.abs);
    const halved = new Float32Array(2 ** 16);
    positive.forEach((value, i) => (halved[2 * i + (i % 2)] = value));
    const x = tf.tensor(positive, [32, ...site.shape]);
    const errorAfter = (seen: tf.Tensor): number => {
      const observed = toValues(quantizer.observe(seen, site));
      const values = toTensors(quantizer.initialize([observed], site));
      const difference = tf.sub(quantizer.fakeQuantize(x, values, site), x);
      return numbers(tf.mean(tf.mul(difference, difference)))[0] ?? NaN;
    };
    const [without, among] = [errorAfter(x), errorAfter(tf.tensor(halved, [64, ...site.shape]))];
    return among <= LARGEST_LOSS * without
      ? undefined
      : `the squared error of positive values is ${String(without)}, and ${String(among)} when as many zeros join them`;
  },
};

const calibrationChecks: readonly CalibrationCheck[] = [seesEveryIndex, zerosDoNotClip];

const known = new KnownOutcomes<{ readonly problem: string | undefined }>();

function problemAt(run: CalibrationCheck["run"], quantizer: Quantizer, site: QuantizerSite) {
  try {
    return tf.tidy(() => run(quantizer, site));
  } catch (error) {
    return `throws: ${(error as Error).message}`;
  }
}

/** What is wrong with first values: place, check and finding. */
export function calibrationProblems<Place extends { readonly site: QuantizerSite }>(
  quantizerOf: (site: QuantizerSite) => Quantizer,
  places: readonly Place[],
): { place: Place; check: string; problem: string }[] {
  return calibrationChecks.flatMap(({ name, chosen, run }) =>
    chosen(places).flatMap((place) => {
      const [quantizer, tried] = [quantizerOf(place.site), name + JSON.stringify(place.site)];
      const { problem } =
        known.get(quantizer, tried) ??
        known.set(quantizer, tried, { problem: problemAt(run, quantizer, place.site) });
      return problem === undefined ? [] : [{ place, check: name, problem }];
    }),
  );
}

/** The first of all places whose sites have the same of something. */
function firstOfEach<Place extends { readonly site: QuantizerSite }>(
  places: readonly Place[],
  keyOf: (site: QuantizerSite) => string,
): Place[] {
  const firsts = new Map<string, Place>();
  for (const place of places) {
    const key = keyOf(place.site);
    if (!firsts.has(key)) firsts.set(key, place);
  }
  return [...firsts.values()];
}
