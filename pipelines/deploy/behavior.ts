import exp from "@stdlib/math-base-special-exp";
import ln from "@stdlib/math-base-special-ln";
import { predictions } from "../train/index.js";

/** What a network gives on some images. */
export interface Behavior {
  /** Share of the images that are classified right. */
  readonly accuracy: number;
  /** Mean cross entropy. */
  readonly loss: number;
  /** Of the logits against those of the network in float, in decibel; null where they are equal. */
  readonly sqnr: number | null;
}

interface Judged {
  /** [images, classes], row-major. */
  readonly logits: Float32Array;
  /** The same of the network in float. */
  readonly inFloat: Float32Array;
  /** Of each image. */
  readonly labels: ArrayLike<number>;
  readonly classes: number;
}

/** How logits compare with labels, and with those of the network in float. */
export function behaviorOf({ logits, inFloat, labels, classes }: Judged): Behavior {
  const guesses = predictions(logits, classes);
  let [loss, signal, noise] = [0, 0, 0];
  for (let image = 0; image < labels.length; image++)
    loss += crossEntropy(
      logits.subarray(image * classes, (image + 1) * classes),
      labels[image] ?? NaN,
    );
  logits.forEach((value, i) => {
    const exact = inFloat[i] ?? NaN;
    signal += exact * exact;
    noise += (value - exact) * (value - exact);
  });
  return {
    accuracy: guesses.filter((guess, image) => guess === labels[image]).length / labels.length,
    loss: loss / labels.length,
    sqnr: noise === 0 ? null : (10 / ln(10)) * ln(signal / noise),
  };
}

function crossEntropy(logits: Float32Array, label: number): number {
  const largest = Math.max(...logits);
  const sum = logits.reduce((total, value) => total + exp(value - largest), 0);
  return ln(sum) + largest - (logits[label] ?? NaN);
}
