import { sizeOf } from "../../engine/index.js";
import { addConstant, mulConstant } from "../combining.js";
import { axisOf, dimensionsOf, rankOf, resolvedAxis, type Feature } from "../feature.js";
import type { OperatorReaders, Source } from "../importing.js";
import { described, reshaped } from "../views.js";

/** Normalizations by what an image itself has, which stay in float. */
export const normalizations: OperatorReaders = {
  LayerNormalization(source) {
    const x = source.feature(0);
    if (source.node.output.slice(1).some((name) => name !== ""))
      source.fail("gives its mean or deviation, which is not supported");
    const first = resolvedAxis(source.int("axis", -1), x);
    if (first < 1) source.fail(`normalizes the batch of ${described(x)}`);
    const axes = Array.from({ length: rankOf(x) - first }, (_, i) => axisOf(first + i, x));
    const normal = normalized(source, x, axes);
    const scaled = mulConstant(source, normal, source.constant(1));
    return source.has(2) ? addConstant(source, scaled, source.constant(2)) : scaled;
  },
  InstanceNormalization(source) {
    const x = source.feature(0);
    const axes = dimensionsOf(x).flatMap((_, i) => (i === 0 ? [] : [axisOf(i + 1, x)]));
    const rest = dimensionsOf(x)
      .slice(1)
      .map(() => 1);
    return scaledAndShifted(source, normalized(source, x, axes), rest);
  },
  GroupNormalization(source) {
    const x = source.feature(0);
    const sizes = dimensionsOf(x);
    const [channels = 1, ...rest] = sizes;
    const groups = source.int("num_groups", 1);
    if (x.folded !== undefined || channels % groups !== 0 || source.opset < 21)
      source.fail(
        `normalizes ${String(groups)} groups of ${described(x)} at opset ${String(source.opset)}`,
      );
    const split = reshaped(source, x, [groups, (channels / groups) * sizeOf(rest)]);
    const normal = normalized(source, split, [axisOf(2, split)]);
    return scaledAndShifted(
      source,
      reshaped(source, normal, sizes),
      rest.map(() => 1),
    );
  },
};

function normalized(source: Source, x: Feature, axes: readonly number[]): Feature {
  const epsilon = source.float("epsilon", 1e-5);
  return source.importing.add(
    source.output,
    (name) => ({
      ...{ op: "float", name, inputs: [x.node] },
      operation: { kind: "normalize", axes: axes.toSorted((a, b) => a - b), epsilon },
    }),
    x,
  );
}

/** By one value for each entry of the first axis. */
function scaledAndShifted(source: Source, x: Feature, rest: readonly number[]): Feature {
  const [scale, shift] = [source.constant(1), source.constant(2)];
  const shape = [scale.data.length, ...rest];
  return addConstant(source, mulConstant(source, x, { ...scale, shape }), { ...shift, shape });
}
