import * as tf from "#tf";
import type { FoldStrategy } from "../../algorithms/network.js";

/** As PyTorch and MQBench have it. */
export const BATCH_NORM_EPSILON = 1e-5;
/** Weight of the newest batch in the running statistics. */
const STATISTICS_MOMENTUM = 0.1;

export interface BatchNormParameters {
  readonly gamma: tf.Tensor;
  readonly beta: tf.Tensor;
  /** Running mean and variance. */
  readonly mean: tf.Tensor;
  readonly variance: tf.Tensor;
}

/** gamma / sqrt(variance + epsilon): what folding multiplies the kernel by, per channel. */
export function foldFactor({ gamma, variance }: BatchNormParameters): tf.Tensor {
  return tf.mul(gamma, tf.rsqrt(tf.add(variance, BATCH_NORM_EPSILON)));
}

/** beta - mean * gamma / sd: the bias that is left when the factor is folded away. */
export function foldedBias(parameters: BatchNormParameters): tf.Tensor {
  return tf.sub(parameters.beta, tf.mul(parameters.mean, foldFactor(parameters)));
}

/** Batch norm with the running statistics. */
export function normalizeByRunning(x: tf.Tensor, parameters: BatchNormParameters): tf.Tensor {
  return tf.add(tf.mul(x, foldFactor(parameters)), foldedBias(parameters));
}

export interface TrainedBatchNorm {
  readonly y: tf.Tensor;
  /** Running statistics with this batch taken in. */
  readonly mean: tf.Tensor;
  readonly variance: tf.Tensor;
}

/**
 * Batch norm with the statistics of the batch (Ioffe and Szegedy, 2015), channels last.
 *
 * Written out with its own gradient: automatic differentiation of mean and variance makes three
 * times as many passes over x, which decide the time of a training step.
 *
 * @param x [batch, height, width, channels]
 */
export function normalizeByBatch(x: tf.Tensor, parameters: BatchNormParameters): TrainedBatchNorm {
  const count = countOf(x);
  const axes = leadingAxes(x);

  const operation = tf.customGrad((...args: unknown[]) => {
    const [values, gamma, beta, save] = args as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const { mean, variance } = statisticsOf(values, axes);
    const inverse = tf.rsqrt(tf.add(variance, BATCH_NORM_EPSILON));
    const factor = tf.mul(gamma, inverse);
    save([values, mean, inverse, factor]);
    return {
      value: tf.add(tf.mul(values, factor), tf.sub(beta, tf.mul(mean, factor))),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [input, center, inverseSd, scale] = saved as [
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
        ];
        const sum = tf.sum(dy, axes);
        const sumWithX = tf.sum(tf.mul(dy, input), axes);
        const dGamma = tf.mul(inverseSd, tf.sub(sumWithX, tf.mul(center, sum)));
        // dx = factor * (dy - mean(dy) - xhat * mean(dy * xhat)): an affine map of x and dy, and
        // the factor last, so that an engine can leave it to what reads dx.
        const slope = tf.neg(tf.div(tf.mul(inverseSd, dGamma), count));
        const offset = tf.neg(tf.add(tf.div(sum, count), tf.mul(slope, center)));
        const dx = tf.mul(tf.add(dy, tf.add(tf.mul(input, slope), offset)), scale);
        return [dx, dGamma, sum];
      },
    };
  });
  const y = operation(x, parameters.gamma, parameters.beta);
  // Computed once more because a custom gradient returns one tensor; tracing merges the two.
  return { y, ...updatedStatistics(parameters, statisticsOf(x, axes), count) };
}

/** What training a convolution with folded batch norm needs, whatever the strategy. */
export interface FoldedTraining {
  readonly batchNorm: BatchNormParameters;
  readonly kernel: tf.Tensor;
  /** The kernel times a factor for each filter. */
  readonly perFilter: (factor: tf.Tensor) => tf.Tensor;
  readonly quantize: (kernel: tf.Tensor) => tf.Tensor;
  readonly convolve: (kernel: tf.Tensor) => tf.Tensor;
  /** Takes the new running statistics. */
  readonly update: (statistics: Pick<TrainedBatchNorm, "mean" | "variance">) => void;
}

/**
 * Training with batch norm folded into the quantized kernel, by the strategies of MQBench
 * (section 3.3 and figure 3 of its paper). In evaluation all of them are the same: the kernel
 * folded with the running statistics.
 */
export function foldedTraining(strategy: FoldStrategy, folding: FoldedTraining): tf.Tensor {
  const { batchNorm, kernel, perFilter, quantize, convolve, update } = folding;
  const { gamma, beta } = batchNorm;
  const running = foldFactor(batchNorm);
  if (strategy === 1) {
    // Statistics are frozen; gamma and beta go on learning.
    return tf.add(convolve(quantize(perFilter(running))), foldedBias(batchNorm));
  }
  if (strategy === 4) {
    // Quantize as deployment folds, undo the factor, let a live batch norm measure the result.
    const y = convolve(quantize(perFilter(running)));
    // A channel whose factor is 0 convolves to 0, and stays 0 whatever it is divided by.
    const unscaled = tf.mul(y, tf.reciprocal(tf.add(running, 1e-12)));
    const normalized = normalizeByBatch(unscaled, batchNorm);
    update(normalized);
    return normalized.y;
  }
  // Strategies 2 (Jacob et al., 2018) and 3 (Krishnamoorthi, 2018) convolve in float first.
  const exact = convolve(kernel);
  const { mean, variance } = statisticsOf(exact, leadingAxes(exact));
  update(updatedStatistics(batchNorm, { mean, variance }, countOf(exact)));
  const latest = { gamma, beta, mean, variance };
  const shift = foldedBias(latest);
  if (strategy === 2) return tf.add(convolve(quantize(perFilter(foldFactor(latest)))), shift);
  const correction = tf.div(
    foldFactor({ ...latest, gamma: tf.onesLike(gamma) }),
    foldFactor({ ...batchNorm, gamma: tf.onesLike(gamma) }),
  );
  return tf.add(tf.mul(convolve(quantize(perFilter(running))), correction), shift);
}

const leadingAxes = (x: tf.Tensor): number[] => [...x.shape.keys()].slice(0, -1);
const countOf = (x: tf.Tensor): number => x.size / (x.shape.at(-1) ?? 1);

function updatedStatistics(
  old: BatchNormParameters,
  { mean, variance }: { readonly mean: tf.Tensor; readonly variance: tf.Tensor },
  count: number,
) {
  const unbiased = tf.mul(variance, count / Math.max(count - 1, 1));
  return {
    mean: runningAverage(old.mean, mean),
    variance: runningAverage(old.variance, unbiased),
  };
}

function statisticsOf(x: tf.Tensor, axes: number[]) {
  const mean = tf.mean(x, axes);
  const meanOfSquares = tf.mean(tf.mul(x, x), axes);
  return { mean, variance: tf.relu(tf.sub(meanOfSquares, tf.mul(mean, mean))) };
}

function runningAverage(old: tf.Tensor, latest: tf.Tensor): tf.Tensor {
  return tf.add(tf.mul(old, 1 - STATISTICS_MOMENTUM), tf.mul(latest, STATISTICS_MOMENTUM));
}
