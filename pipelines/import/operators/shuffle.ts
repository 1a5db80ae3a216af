import type { NodeProto } from "onnx-buf";
import { CHANNELS_FIRST, dimensionsOf, sameView, type Feature } from "../feature.js";
import type { Source } from "../importing.js";

/**
 * Channels in another order, written as a reshape to groups, a transpose and a reshape back: at the
 * last of them, told from what the first one read. Unlike other transposes that is exact in
 * integers everywhere.
 */
export function readShuffle(source: Source): Feature | undefined {
  const { importing, node } = source;
  const turn = importing.producer(node.input[0]);
  if (turn?.opType !== "Transpose" || permOf(turn) !== "0,2,1,3,4") return undefined;
  const split = importing.producer(turn.input[0]);
  const x = importing.values.get(split?.input[0] ?? "");
  const groups = importing.values.get(turn.input[0] ?? "");
  if (split?.opType !== "Reshape" || x?.kind !== "feature" || groups?.kind !== "feature")
    return undefined;
  const [channels = 1, height, width] = dimensionsOf(x);
  const [count = 1, each = 1, rows, columns] = dimensionsOf(groups);
  const back = Array.from(source.constant(1).data).slice(1);
  const returns = [channels, height, width].every((size, i) => back[i] === size || back[i] === -1);
  const isShuffle =
    sameView(x, CHANNELS_FIRST) &&
    groups.axes.length === 4 &&
    count * each === channels &&
    rows === height &&
    columns === width &&
    back.length === 3 &&
    returns;
  if (!isShuffle) return undefined;
  return importing.add(source.output, (name) => ({
    ...{ op: "permuteChannels", name, input: x.node },
    order: Array.from({ length: channels }, (_, i) => (i % count) * each + Math.floor(i / count)),
  }));
}

const permOf = ({ attribute }: NodeProto): string =>
  (attribute.find(({ name }) => name === "perm")?.ints ?? []).map(Number).join();
