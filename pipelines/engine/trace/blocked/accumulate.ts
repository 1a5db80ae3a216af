import * as tf from "#tf";
import { inputOf, isImages, lowerBlocked, outputOf, type BlockedContext } from "./registry.js";

// Where two gradients meet, the convolution that gives one of them adds to the other, instead of
// another pass over both.
lowerBlocked("Add", (call, context) => {
  const output = outputOf(call);
  const [a, b] = [inputOf(call, "a"), inputOf(call, "b")];
  if (!isImages(output) || !tf.util.arraysEqual(a.shape, b.shape)) return undefined;
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    if (one.dataId === other.dataId || !context.program.feedsOnly(one, call)) continue;
    const chunks = addedTo(other, one, context);
    if (chunks !== undefined)
      return context.trace.blockedResult({ chunks }, output.shape, "float32");
  }
  return undefined;
});

/** The sum, if nothing but convolutions give the second; it is not computed without the first then. */
function addedTo(
  addend: tf.TensorInfo,
  convolved: tf.TensorInfo,
  { trace }: BlockedContext,
): string[] | undefined {
  if (!trace.isBlocked(addend) || !trace.isBlocked(convolved)) return undefined;
  const addends = trace.blocked(addend).chunks;
  const sums = trace
    .blocked(convolved)
    .chunks.map((chunk, i) => trace.images.convolvedThen(chunk, { addend: addends[i] }));
  return sums.every((sum) => sum !== undefined) ? sums : undefined;
}
