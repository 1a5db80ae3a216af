import cos from "@stdlib/math-base-special-cos";
import type * as tf from "#tf";
import type {
  Quantizer,
  QuantizerSite,
  QuantizerTensors,
  QuantizerValue,
  QuantizerValues,
} from "../algorithm.js";
import { lsq } from "../lsq.js";
import type { Laboratory, Policy, RandomNumbers } from "../laboratory.js";
import { descend, startDescent, type Descent } from "./descent.js";
import { gramOf, minNormShares } from "./minNorm.js";
import { nestedAtRuntime, nestedStep, nestingAt } from "./nestedStep.js";
import { TOP_BITS } from "./nestedCodes.js";
import { imagesOf } from "./batches.js";
import { measuredStatistics } from "./recalibration.js";
import { nameAtWidth } from "./servedWidths.js";
import { nameAt, valuesAt } from "./siteValues.js";

/** One set of weights that is trained for several widths at once. */
export interface OnceTraining {
  /** Of the weights; the codes of TOP_BITS are among them. */
  readonly widths: readonly number[];
  readonly activation: Quantizer;
  readonly steps: number;
}

/** Peak rate in the matrix's rates of quantized training. */
const RATE = 2;
/** Widths beside the widest and the narrowest that a batch goes through. */
const DRAWN = 2;

const isOfBatchNorm = (name: string): boolean => /\/(gamma|beta|mean|variance)$/.test(name);
const isStatistic = (name: string): boolean => /\/(mean|variance)$/.test(name);
const number = (value: number): QuantizerValue => ({ shape: [], data: Float32Array.of(value) });

/**
 * Which values a width has for itself: batch norm, steps of activations, and the step of each layer's weights.
 * Weights and biases serve all; so does the step of the layers that always have codes of TOP_BITS.
 */
class Bank {
  readonly #laboratory: Laboratory;
  readonly #activation: Quantizer;
  readonly #nested: ReadonlySet<string>;

  constructor(laboratory: Laboratory, activation: Quantizer) {
    this.#laboratory = laboratory;
    this.#activation = activation;
    this.#nested = new Set(laboratory.free.map(({ id }) => id));
  }

  /** Where a value is kept, for a width. */
  nameOf(name: string, bits: number): string {
    const [id = "", value] = name.split(":");
    const isOwn = value === undefined ? isOfBatchNorm(name) : this.#isOwn(id);
    return isOwn ? nameAtWidth(name, bits) : name;
  }

  #isOwn(id: string): boolean {
    const site = this.#laboratory.sites.find((one) => one.id === id);
    return site?.role === "activation" || this.#nested.has(id);
  }

  /**
   * First values for all widths: batch norm and activations as calibrated, nested steps so that all reach as
   * far, and LSQ's where codes always have TOP_BITS.
   */
  async start(widths: readonly number[]): Promise<QuantizerValues> {
    const { parameters, sites, calibrate } = this.#laboratory;
    const activation = this.#activation;
    const calibrated = await calibrate({ weight: nestedStep, activation });
    const whole = await calibrate({ weight: lsq.weight, activation });
    const tensors: Record<string, QuantizerValue> = {};
    for (const bits of widths) {
      for (const [name, value] of Object.entries(parameters))
        tensors[this.nameOf(name, bits)] = value;
      for (const site of sites) {
        if (site.role === "weight") {
          const isNested = this.#nested.has(site.id);
          const { shape, data } = firstTop(site, isNested ? calibrated : whole);
          const factor = isNested ? 2 ** (TOP_BITS - bits) : 1;
          const scale = { shape, data: data.map((step) => step * factor) };
          tensors[this.nameOf(nameAt(site, "scale"), bits)] = scale;
        } else
          for (const [name, value] of Object.entries(calibrated))
            if (name.startsWith(nameAt(site, ""))) tensors[this.nameOf(name, bits)] = value;
      }
    }
    return tensors;
  }

  /** What a step reads at a width. */
  inputs(tensors: QuantizerValues, bits: number): QuantizerValues {
    const { parameters, sites } = this.#laboratory;
    const inputs: Record<string, QuantizerValue> = {};
    const read = (name: string, from = name, width = bits) => {
      const value = tensors[this.nameOf(from, width)];
      if (value !== undefined) inputs[name] = value;
    };
    for (const name of Object.keys(parameters)) read(name);
    for (const site of sites) {
      for (const name of ["scale", "zeroPoint"]) read(nameAt(site, name));
      if (site.role === "activation") continue;
      read(nameAt(site, "top"), nameAt(site, "scale"), TOP_BITS);
      const nesting = nestingAt(site, this.#nested.has(site.id) ? bits : TOP_BITS);
      for (const [name, value] of Object.entries<number>({ ...nesting }))
        inputs[nameAt(site, name)] = number(value);
    }
    return inputs;
  }

  /** Bits of all weights that have another width than their first ones. */
  policy(bits: number): Policy {
    const weights = this.#laboratory.free.filter(({ role }) => role === "weight");
    return Object.fromEntries(weights.map(({ id }) => [id, bits]));
  }

  readonly quantize = (x: tf.Tensor, site: QuantizerSite, inputs: QuantizerTensors): tf.Tensor => {
    const values = valuesAt(site, inputs);
    return site.role === "weight"
      ? nestedAtRuntime(x, values, site)
      : this.#activation.fakeQuantize(x, values, site);
  };
}

/** The step of the codes of TOP_BITS, whatever the matrix's width is. */
function firstTop(site: QuantizerSite, calibrated: QuantizerValues): QuantizerValue {
  const top = calibrated[nameAt(site, "top")] ?? calibrated[nameAt(site, "scale")];
  if (top === undefined) throw new TypeError(`${site.id} was not calibrated`);
  return top;
}

/** The widths of a batch: the widest, the narrowest, and two others. */
export function drawWidths(widths: readonly number[], random: RandomNumbers): readonly number[] {
  const [least] = widths;
  const between = widths.slice(1, -1);
  while (between.length > DRAWN) between.splice(random.integer(between.length), 1);
  return [...new Set([...widths.slice(-1), ...(least === undefined ? [] : [least]), ...between])];
}

interface State {
  readonly descent: Descent;
  /** Of each step, by width. */
  readonly losses: readonly (readonly (readonly [bits: number, loss: number])[])[];
}

/**
 * Trains one set of weights for all widths: each batch goes through several of them, and the weights move
 * where the losses of all fall (once-QAT with MGDA). Every width moves its own values by its own gradient.
 *
 * @returns values of all widths, and the losses of each step
 */
export async function trainOnce(
  laboratory: Laboratory,
  { widths, activation, steps }: OnceTraining,
): Promise<State> {
  const { prepare, epoch, random, rounds, parameters, sites, descent: rule } = laboratory;
  const bank = new Bank(laboratory, activation);
  const start = await bank.start(widths);
  const learned = Object.keys(parameters).filter((name) => !isStatistic(name));
  const read = Object.keys(bank.inputs(start, TOP_BITS));
  const values = sites.flatMap((site) =>
    ["scale", "zeroPoint"].map((name) => nameAt(site, name)).filter((name) => read.includes(name)),
  );
  const by = [...learned, ...values];
  const run = prepare({ by, training: true, quantize: bank.quantize });
  return rounds<State>("once", () => ({ descent: startDescent(start), losses: [] }), {
    most: Infinity,
    done: ({ losses }) => losses.length >= steps,
    async round({ descent, losses }, index) {
      const numbers = random(`widths ${String(index)}`);
      const known = [...losses];
      let current = descent;
      for (const batch of epoch(`once ${String(index)}`)) {
        const step = known.length;
        if (step >= steps) break;
        const found = [];
        for (const bits of drawWidths(widths, numbers)) {
          const { loss, gradients } = await run(bank.inputs(current.tensors, bits), batch);
          if (!Number.isFinite(loss))
            throw new RangeError(
              `the loss at ${String(bits)} bits became ${String(loss)} at step ${String(step + 1)}`,
            );
          found.push({ bits, loss, gradients });
        }
        const rate = (RATE * rule.rate * (1 + cos((Math.PI * step) / steps))) / 2;
        current = descend(current, combined(bank, found), { ...rule, rate });
        known.push(found.map(({ bits, loss }) => [bits, loss] as const));
      }
      return { descent: current, losses: known };
    },
  });
}

interface Found {
  readonly bits: number;
  readonly gradients: QuantizerValues;
}

/** The shortest mean of what widths want of common values, and what each wants of its own. */
function combined(bank: Bank, found: readonly Found[]): QuantizerValues {
  const names = Object.keys(found[0]?.gradients ?? {});
  const isShared = (name: string) => bank.nameOf(name, TOP_BITS) === name;
  const common = names.filter((name) => isShared(name) && !name.includes(":"));
  const shares = minNormShares(
    gramOf(found.map(({ gradients }) => common.map((name) => dataOf(gradients, name)))),
  );
  const result: Record<string, QuantizerValue> = {};
  for (const name of common) {
    const sum = new Float64Array(dataOf(found[0]?.gradients, name).length);
    found.forEach(({ gradients }, i) => {
      dataOf(gradients, name).forEach((g, j) => {
        sum[j] = (sum[j] ?? 0) + (shares[i] ?? NaN) * g;
      });
    });
    const { shape = [] } = found[0]?.gradients[name] ?? {};
    result[name] = { shape, data: Float32Array.from(sum) };
  }
  for (const { bits, gradients } of found)
    for (const [name, gradient] of Object.entries(gradients)) {
      if (common.includes(name)) continue;
      // A step that all widths have is the one of TOP_BITS, which narrower ones leave alone.
      if (!isShared(name) || bits === TOP_BITS) result[bank.nameOf(name, bits)] = gradient;
    }
  return result;
}

const dataOf = (values: QuantizerValues | undefined, name: string): Float32Array =>
  values?.[name]?.data ?? new Float32Array();

/** Measures batch norm of every width anew, and tries each on the images that are held out. */
export async function finishWidths(
  laboratory: Laboratory,
  tensors: QuantizerValues,
  {
    widths,
    activation,
    measured,
  }: Pick<OnceTraining, "widths" | "activation"> & { readonly measured: Laboratory["heldOut"] },
): Promise<QuantizerValues> {
  const { prepare, rounds, heldOut, note } = laboratory;
  const bank = new Bank(laboratory, activation);
  const measure = prepare({ by: [], training: true, quantize: bank.quantize });
  const judge = prepare({ by: [], training: false, quantize: bank.quantize });
  return rounds<QuantizerValues>("banks", () => tensors, {
    most: widths.length,
    async round(current, index) {
      const bits = widths[index] ?? NaN;
      const own = bank.inputs(current, bits);
      const statistics = await measuredStatistics(measure, own, measured);
      let [correct, loss] = [0, 0];
      for (const batch of heldOut) {
        const found = await judge({ ...own, ...statistics }, batch);
        correct += found.correct;
        loss += found.loss * batch.labels.data.length;
      }
      const images = imagesOf(heldOut);
      note({ policy: bank.policy(bits), accuracy: correct / images, loss: loss / images });
      const renamed = Object.entries(statistics).map(
        ([name, value]) => [bank.nameOf(name, bits), value] as const,
      );
      return { ...current, ...Object.fromEntries(renamed) };
    },
  });
}
