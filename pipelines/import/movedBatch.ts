import { axisOf, rankOf, resolvedAxis, type Feature } from "./feature.js";
import type { Source, Value } from "./importing.js";
import { withoutAxes } from "./views.js";

/** One axis of a node's first input, wherever the batch is. */
export interface Along {
  /** With the batch in front. */
  readonly x: Feature;
  /** Of that. */
  readonly axis: number;
  /** A part of it, with the batch where it was. */
  readonly back: (part: Feature) => Value;
  /** The same without the axis, which has size 1. */
  readonly without: (part: Feature) => Value;
}

/** @param wanted the axis in the ONNX graph */
export function alongAxis(source: Source, wanted: number): Along {
  const input = source.input(0);
  if (input.kind !== "moved") {
    const x = source.feature(0);
    const axis = resolvedAxis(wanted, x);
    return {
      ...{ x, axis },
      back: (part) => part,
      without: (part) => withoutAxes(source, part, [axisOf(axis, part)]),
    };
  }
  const { feature: x, batchAt } = input;
  const place = wanted < 0 ? wanted + rankOf(x) : wanted;
  if (place === batchAt) source.fail("takes a part of the batch");
  const axis = place < batchAt ? place + 1 : place;
  const moved = (feature: Feature, at: number): Value =>
    at === 0 ? feature : { kind: "moved", feature, batchAt: at };
  return {
    ...{ x, axis },
    back: (part) => moved(part, batchAt),
    without: (part) => {
      const own = axisOf(axis, part);
      const rest = { ...part, axes: part.axes.filter((one) => one !== own) };
      return moved(rest, place < batchAt ? batchAt - 1 : batchAt);
    },
  };
}
