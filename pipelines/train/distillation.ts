import * as tf from "#tf";

/** How much a training follows the float network beside the labels. */
export interface Distillation {
  /** Of what the teacher gives, 0 to 1; labels have the rest. */
  readonly weight: number;
  /** By which logits are divided before they become probabilities. */
  readonly temperature: number;
}

/**
 * (1 - a) cross entropy + a T² KL(teacher ‖ student), the probabilities of both at temperature T.
 *
 * @param crossEntropy with the labels, at temperature 1
 * @param logits [batch, classes]
 * @param teacher [batch, classes], logits too
 * @see https://arxiv.org/abs/1503.02531
 */
export function distilled(
  { weight, temperature }: Distillation,
  terms: {
    readonly crossEntropy: tf.Scalar;
    readonly logits: tf.Tensor2D;
    readonly teacher: tf.Tensor2D;
  },
): tf.Scalar {
  const logProbabilities = (logits: tf.Tensor2D) =>
    tf.logSoftmax<tf.Tensor2D>(tf.div(logits, temperature));
  const expected = logProbabilities(terms.teacher);
  const difference = tf.sub(expected, logProbabilities(terms.logits));
  const divergence = tf.mean(tf.sum(tf.mul(tf.exp(expected), difference), 1));
  return tf.add(
    tf.mul(terms.crossEntropy, 1 - weight),
    tf.mul(divergence, weight * temperature * temperature),
  );
}
