import * as tf from "#tf";

/** compute(x), with the gradient of the identity (straight-through estimator). */
export function straightThrough(x: tf.Tensor, compute: (x: tf.Tensor) => tf.Tensor): tf.Tensor {
  const operation = tf.customGrad<tf.Tensor>((y) => ({
    value: compute(y as tf.Tensor),
    gradFunc: (dy: tf.Tensor) => dy,
  }));
  return operation(x);
}

/** x, with its gradient multiplied by a constant. */
export function scaleGradient(x: tf.Tensor, factor: number): tf.Tensor {
  const identity = tf.customGrad<tf.Tensor>((y) => ({
    value: tf.clone(y as tf.Tensor),
    gradFunc: (dy: tf.Tensor) => tf.mul(dy, factor),
  }));
  return identity(x);
}

/**
 * x as a constant. Stop what a constant is computed from, not the constant: zeros take the place of
 * whatever gradient comes, even where it is infinite, as that of a root at 0.
 */
export function stopGradient(x: tf.Tensor): tf.Tensor {
  const constant = tf.customGrad<tf.Tensor>((y) => ({
    value: tf.clone(y as tf.Tensor),
    gradFunc: (dy: tf.Tensor) => tf.zerosLike(dy),
  }));
  return constant(x);
}

/**
 * max(|x|, floor), with the gradient of |x|, that of 0 being 1: a value at the floor or at 0 can
 * leave it.
 */
export function magnitude(x: tf.Tensor, floor = 0): tf.Tensor {
  const operation = tf.customGrad((...args: unknown[]) => {
    const [value, save] = args as [tf.Tensor, tf.GradSaveFunc];
    save([value]);
    return {
      value: tf.clipByValue(tf.abs(value), floor, Infinity),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) =>
        tf.where(tf.less(saved[0] as tf.Tensor, 0), tf.neg(dy), dy),
    };
  });
  return operation(x);
}

/** The largest of all values; equal ones share its gradient, as in PyTorch and TensorFlow. */
export const sharedMaximum: (x: tf.Tensor) => tf.Tensor = tf.customGrad((...args: unknown[]) => {
  const [x, save] = args as [tf.Tensor, tf.GradSaveFunc];
  const largest = tf.max(x);
  save([x, largest]);
  return {
    value: largest,
    gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const ties = tf.cast(tf.equal(saved[0] as tf.Tensor, saved[1] as tf.Tensor), "float32");
      return tf.mul(ties, tf.div(dy, tf.sum(ties)));
    },
  };
});

/** Sums a gradient over the axes along which its operand was broadcast. */
export function sumTo(gradient: tf.Tensor, shape: readonly number[]): tf.Tensor {
  if (shape.length === 0) return tf.sum(gradient);
  const axes = [...gradient.shape.keys()].filter((axis) => shape[axis] !== gradient.shape[axis]);
  return axes.length === 0 ? gradient : tf.sum(gradient, axes, true);
}
