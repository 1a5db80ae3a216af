import { sizeOf } from "../engine/index.js";
import { expanded, transposed } from "./arrays.js";
import { batchesOf, rankOf, sizesOf, unnamedAxes, type Feature } from "./feature.js";
import type { Source } from "./importing.js";
import type { Constant } from "./tensor.js";

/** A value multiplied by a number. */
export const withScale = (source: Source, x: Feature, factor: number): Feature =>
  mulConstant(source, x, { shape: [], data: [factor] });

/** Two values combined elementwise, as ONNX repeats axes of size 1. */
export function combined(
  source: Source,
  kind: "add" | "sub" | "mul" | "div",
  a: Feature,
  wanted: Feature,
): Feature {
  const b = alignedTo(source, a, wanted);
  const inputs = [a.node, b.node] as const;
  return source.importing.add(
    source.output,
    (name) => {
      if (kind === "add" && a.shape.join() === b.shape.join()) return { op: "add", name, inputs };
      return { op: "float", name, inputs, operation: { kind: kind === "add" ? "sum" : kind } };
    },
    a,
  );
}

/** The second value with its axes where the first one has them. */
export function alignedTo(source: Source, a: Feature, b: Feature): Feature {
  if (rankOf(a) !== rankOf(b) || (a.folded ?? 0) !== (b.folded ?? 0))
    source.fail(
      `combines [${sizesOf(a).join()}] and [${sizesOf(b).join()}]; values must have as many axes`,
    );
  if (a.axes.join() === b.axes.join() && a.shape.length === b.shape.length) return b;
  const sizes = sizesOf(b);
  const places = a.shape.map((_, axis) => a.axes.indexOf(axis));
  return source.importing.rearranged(`${b.node}.aligned`, b, {
    order: [...unnamedAxes(b), ...places.filter((at) => at >= 0).map((at) => b.axes[at] ?? 0)],
    shape: places.map((at) => (at < 0 ? 1 : (sizes[at] ?? 1))),
    view: a,
  });
}

/** @param mergeable into a layer that gives the value: a bias that is written as a sum */
export function addConstant(
  source: Source,
  x: Feature,
  constant: Constant,
  mergeable = false,
): Feature {
  const { importing } = source;
  const shift = perChannel(x, constant);
  if (shift === undefined) return withArray(source, "addConstant", x, constant);
  const producer = importing.find(x.node);
  const layer = producer?.op === "conv2d" || producer?.op === "dense" ? producer : undefined;
  if (layer === undefined || !mergeable)
    return affine(
      source,
      x,
      shift.map(() => 1),
      shift,
    );
  const name = `${layer.name}/bias`;
  const known = name in importing.parameters ? importing.parameterData(name) : undefined;
  importing.setParameter(
    name,
    [shift.length],
    shift.map((value, i) => (known?.[i] ?? 0) + value),
  );
  if (layer.op === "conv2d") importing.replace({ ...layer, bias: true });
  return x;
}

export function mulConstant(source: Source, x: Feature, constant: Constant): Feature {
  const factor = perChannel(x, constant);
  if (factor === undefined) return withArray(source, "mulConstant", x, constant);
  return affine(
    source,
    x,
    factor,
    factor.map(() => 0),
  );
}

/** One value for each channel, where the constant has no more; undefined where it has. */
function perChannel(x: Feature, { shape, data }: Constant): Float64Array | undefined {
  const channels = x.shape.at(-1) ?? 1;
  if (data.length === 1) return new Float64Array(channels).fill(data[0] ?? 0);
  const at = x.axes.indexOf(x.shape.length - 1) - (x.folded ?? 0) + 1; // in the ONNX graph
  const missing = rankOf(x) - shape.length;
  const fits = shape.every((size, i) => size === 1 || (i + missing === at && size === channels));
  return fits && missing >= 0 && at >= 1 ? Float64Array.from(data) : undefined;
}

function affine(source: Source, x: Feature, factor: Float64Array, shift: Float64Array): Feature {
  const { importing } = source;
  const feature = importing.add(
    source.output,
    (name) => ({
      ...{ op: "float", name, operation: { kind: "channelAffine" } },
      inputs: [x.node],
    }),
    x,
  );
  importing.setParameter(`${feature.node}/factor`, [factor.length], factor);
  importing.setParameter(`${feature.node}/shift`, [shift.length], shift);
  return feature;
}

function withArray(
  source: Source,
  kind: "addConstant" | "mulConstant",
  x: Feature,
  constant: Constant,
): Feature {
  const { shape, data } = likeValue(source, x, constant);
  const feature = source.importing.add(
    source.output,
    (name) => ({ op: "float", name, inputs: [x.node], operation: { kind, shape } }),
    x,
  );
  source.importing.setParameter(`${feature.node}/value`, shape, data);
  return feature;
}

/** The same for each image: a constant among what is computed. @param x says how many images */
export function constantFeature(source: Source, x: Feature, constant: Constant): Feature {
  const { shape, data } = likeValue(source, x, constant);
  const feature = source.importing.add(
    source.output,
    (name) => ({ op: "float", name, inputs: [x.node], operation: { kind: "constant", shape } }),
    x,
  );
  source.importing.setParameter(`${feature.node}/value`, shape, data);
  return feature;
}

/** A constant with its axes where a value has them, of as many axes as the value. */
function likeValue(source: Source, x: Feature, constant: Constant): Constant {
  const rank = rankOf(x);
  const fail = () =>
    source.fail(
      `combines [${["batch", ...sizesOf(x).slice(x.folded ?? 0)].join()}] with a constant of [${constant.shape.join()}]`,
    );
  if (constant.shape.length > rank) return fail();
  const padded = [...Array<number>(rank - constant.shape.length).fill(1), ...constant.shape];
  const [images = 1, ...rest] = padded;
  const folded = sizesOf(x).slice(0, x.folded ?? 0);
  const same = images > 1 && images !== batchesOf(x) && isRepeated(constant, images);
  if (images > 1 && images !== batchesOf(x) && !same) return fail();
  const data = same ? Array.from(constant.data).slice(0, sizeOf(rest)) : constant.data;
  const first = images === batchesOf(x) && images > 1 ? folded : folded.map(() => 1);
  const sizes = [...first, ...rest]; // in the order of x.axes
  const order = x.shape.map((_, axis) => x.axes.indexOf(axis));
  const named = order.filter((at) => at >= 0);
  const turned = transposed({ shape: sizes, data }, named);
  return {
    shape: order.map((at) => (at < 0 ? 1 : (sizes[at] ?? 1))),
    data: expanded(turned, turned.shape),
  };
}

/** Whether a constant that has an entry for each of some images has the same for all. */
function isRepeated({ data }: Constant, images: number): boolean {
  const each = data.length / images;
  return Array.from({ length: data.length }, (_, i) => i).every((i) => data[i] === data[i % each]);
}
