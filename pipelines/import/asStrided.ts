import { stridesOf } from "./arrays.js";
import { batchesOf, rankOf, type Feature } from "./feature.js";
import type { Source } from "./importing.js";
import { reshaped } from "./views.js";

/**
 * A Gather of single values of a whole tensor that only gives its axes another order, as PyTorch exports `as_strided` of models in
 * channels_last: places rise by the same step along each axis, and all values are taken.
 *
 * @returns nothing where it is not of this kind
 */
export function asStrided(source: Source): Feature | undefined {
  const input = source.input(0);
  const { batch = 1 } = source.importing.source.input;
  if (input.kind !== "feature" || rankOf(input) !== 1 || batch !== 1) return undefined;
  const { shape, data } = source.constant(1);
  const [images, ...sizes] = shape;
  if (images !== 1 || data.length !== batchesOf(input)) return undefined;
  const own = stridesOf(sizes);
  const steps = own.map((step, axis) => (sizes[axis] === 1 ? 0 : (data[step] ?? NaN)));
  const placeOf = (index: number): number =>
    own.reduce(
      (sum, step, axis) =>
        sum + (Math.floor(index / step) % (sizes[axis] ?? 1)) * (steps[axis] ?? 0),
      0,
    );
  for (let i = 0; i < data.length; i++) if (data[i] !== placeOf(i)) return undefined;
  const order = sizes.map((_, axis) => axis).sort((a, b) => (steps[b] ?? 0) - (steps[a] ?? 0));
  const inOrder = order.map((axis) => sizes[axis] ?? 1);
  const isWhole = stridesOf(inOrder).every(
    (step, i) => inOrder[i] === 1 || step === steps[order[i] ?? 0],
  );
  if (!isWhole) return undefined;
  const x = reshaped(source, input, inOrder);
  return { ...x, axes: sizes.map((_, axis) => x.axes[order.indexOf(axis)] ?? 0) };
}
