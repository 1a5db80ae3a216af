import * as tf from "#tf";
import type { Codebook, QuantizerSite, QuantParams } from "../../algorithms/algorithm.js";
import { rangeOf } from "../../algorithms/affine.js";
import { codebookCodes, integerCodes } from "../freeze/index.js";
import { finishedValues, numbers, sample, SHAPE, type Subject } from "./subject.js";

/** What is wrong with the grid of a quantizer, or with the values that it puts on it. */
export function gridProblem(subject: Subject): string | undefined {
  const { quantizer, site } = subject;
  const state = finishedValues(subject);
  for (const factor of [1, 20]) {
    const x = tf.mul(sample(site, 3), factor);
    const weight = site.role === "weight" ? x : undefined;
    const y = quantizer.fakeQuantize(x, state, site);
    if (y.shape.join() !== x.shape.join())
      return `gives the shape [${y.shape.join()}] for [${x.shape.join()}]`;
    const codebook = quantizer.codebook?.(state, site, weight);
    const problem =
      codebook === undefined
        ? offGrid(y, quantizer.quantParams(state, site, weight), site)
        : offLevels(y, codebook, site);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function offGrid(y: tf.Tensor, grid: QuantParams, site: QuantizerSite): string | undefined {
  const [scale, zeroPoint] = [numbers(grid.scale), numbers(grid.zeroPoint)];
  const { quantMin, quantMax } = rangeOf(site);
  const wrongScale = scale.find((s) => !(s > 0 && Number.isFinite(s)));
  if (wrongScale !== undefined) return `a scale is ${String(wrongScale)}, not positive`;
  const offPower = scale.find((s) => !Number.isInteger(Math.log2(s)));
  if (site.scheme.scaleForm === "powerOfTwo" && offPower !== undefined)
    return `a scale is ${String(offPower)}, not a power of two`;
  const wrongZero = zeroPoint.find((z) => !Number.isInteger(z) || z < quantMin || z > quantMax);
  if (wrongZero !== undefined)
    return `a zeroPoint is ${String(wrongZero)}, not a whole number of [${String(quantMin)}, ${String(quantMax)}]`;
  if (site.scheme.symmetric && zeroPoint.some((z) => z !== 0))
    return "a zeroPoint is not 0 on a symmetric backend";
  try {
    const where = { ...site, shape: SHAPE, channelAxis: 3 };
    const codes = integerCodes(where, numbers(y), { scale, zeroPoint });
    return tooMany(new Set(codes).size, site);
  } catch (error) {
    return (error as Error).message;
  }
}

function offLevels(y: tf.Tensor, codebook: Codebook, site: QuantizerSite): string | undefined {
  const [levels, thresholds] = [numbers(codebook.levels), numbers(codebook.thresholds)];
  if (thresholds.length !== levels.length - 1)
    return `has ${String(levels.length)} levels and ${String(thresholds.length)} thresholds between them`;
  for (const list of [levels, thresholds]) {
    if (list.some((value, i) => i > 0 && !(value >= (list[i - 1] ?? NaN))))
      return "its codebook does not rise";
  }
  const problem = tooMany(levels.length, site);
  if (problem !== undefined) return problem;
  try {
    codebookCodes(site, numbers(y), { levels, thresholds });
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const tooMany = (count: number, { scheme }: QuantizerSite): string | undefined =>
  count > 2 ** scheme.bitWidth
    ? `${String(count)} levels; ${String(scheme.bitWidth)} bits hold ${String(2 ** scheme.bitWidth)}`
    : undefined;
