import type { ConvNode } from "../../algorithms/network.js";
import { CHANNELS_FIRST, sameView, type Feature, type Selection } from "./feature.js";
import type { Source } from "./importing.js";

/**
 * Pixels at regular distances and channels of an image, in any order and with empty ones between, as a
 * convolution of one pixel whose weights are 1 and 0: exact on every grid, and every runtime has it.
 */
export function selected(source: Source, x: Feature, wanted: Selection): Feature {
  const { importing } = source;
  const before = importing.find(x.node);
  const known = before && importing.selections.get(before.name);
  const merges =
    known !== undefined &&
    before?.op === "conv2d" &&
    (known.by === source.output || importing.isReadOnce(source.node.input[0] ?? ""));
  const { channels, stride } = merges ? merged(known, wanted) : wanted;
  const input = merges ? before.input : x.node;
  const count = importing.shapeOf(input).at(-1) ?? 1;
  const depthwise =
    count > 1 && channels.length === count && channels.every((channel, i) => channel === i);
  const feature = importing.add(
    source.output,
    (name) =>
      ({
        ...{ op: "conv2d", name, input, filters: channels.length, kernelSize: 1 },
        stride: stride[0] === stride[1] ? stride[0] : stride,
        depthwise,
      }) satisfies ConvNode,
    sameView(x, CHANNELS_FIRST) ? undefined : x,
  );
  importing.selections.set(feature.node, { channels, stride, by: source.output });
  const kernel = depthwise
    ? new Float32Array(count).fill(1)
    : Float32Array.from({ length: count * channels.length }, (_, i) =>
        channels[i % channels.length] === Math.floor(i / channels.length) ? 1 : 0,
      );
  const shape = depthwise ? [1, 1, count, 1] : [1, 1, count, channels.length];
  importing.setParameter(`${feature.node}/kernel`, shape, kernel);
  return feature;
}

/** What the second selection of the first one's result is of the image. */
const merged = (first: Selection, second: Selection): Selection => ({
  channels: second.channels.map((channel) =>
    channel === undefined ? undefined : first.channels[channel],
  ),
  stride: [first.stride[0] * second.stride[0], first.stride[1] * second.stride[1]],
});
