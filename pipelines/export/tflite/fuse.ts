import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import type { ConcatNode, NetworkNode, QuantizeNode } from "../../../algorithms/network.js";
import { consumersOf, findNode } from "../../network/index.js";
import { concatOptions, type FusedActivation } from "./options.js";
import type { TfliteTensor } from "./schema.js";
import { quantizedBy } from "./sites.js";
import { batchShape, refuse, tensorOf, type Value, type Writing } from "./writing.js";

/** A way in which an operator's result is read: what becomes part of the operator for it. */
interface Ending {
  readonly activation: FusedActivation;
  /** The quantizer of what is read; absent for the network's output. */
  readonly site?: QuantizerSite;
  /** Nodes that are written with the operator. */
  readonly nodes: readonly string[];
  /** Whether the values are joined with others, whose quantizer then is theirs too. */
  readonly isJoined: boolean;
}

interface Operator {
  /** Whether an activation may become part of it. */
  readonly fuses: boolean;
  /** Adds it to the model; `result` is the number of its tensor. */
  readonly add: (result: number, activation: FusedActivation) => void;
}

/**
 * Writes an operator with what follows it and its result's quantizer: once for each way in which
 * the result is read, since integers of one grid cannot become exactly those of another.
 *
 * @returns the tensor of values that are joined with others; elsewhere those of quantizers are read
 */
export function finish(node: NetworkNode, writing: Writing, { fuses, add }: Operator): Value {
  let joined: Value;
  for (const { site, activation, nodes, isJoined } of endingsOf(node, writing, fuses)) {
    if (site === undefined)
      return refuse(node.name, "its result is not quantized, which only a last dense layer may be");
    const part = {
      name: writing.free(`${node.name} joined`),
      shape: batchShape(writing, node.name),
    };
    const write = (result: number) => {
      add(result, activation);
    };
    const tensor = quantizedBy(writing, site, write, isJoined ? part : undefined);
    if (isJoined) joined = tensor;
    else writing.fused.set(site.id, tensor);
    for (const one of nodes.filter((name) => name !== site.id))
      writing.fused.set(one, isJoined ? tensor : writing.fused.get(one));
  }
  return joined;
}

/** The chains of one activation and one quantizer, or of values that are joined, behind a node. */
function endingsOf(node: NetworkNode, writing: Writing, fuses: boolean): Ending[] {
  const readers = consumersOf(writing.frozen.network, node.name);
  if (readers.length === 0) return [{ activation: 0, nodes: [], isJoined: false }];
  return readers.flatMap((reader): Ending[] => {
    const { name } = reader;
    if (reader.op === "quantize")
      return [{ activation: 0, site: writing.siteOf(name), nodes: [name], isJoined: false }];
    if (reader.op === "concat")
      return [{ activation: 0, site: siteOfJoined(reader, writing), nodes: [], isJoined: true }];
    if (!fuses || (reader.op !== "relu" && reader.op !== "relu6"))
      return refuse(node.name, "its result is not quantized before it is read");
    return endingsOf(reader, writing, false).map((rest) => ({
      ...rest,
      activation: reader.op === "relu" ? 1 : 3,
      nodes: [name, ...rest.nodes],
    }));
  });
}

/** The quantizer of joined values, which is that of each part: it rounds value by value. */
function siteOfJoined({ name }: ConcatNode, writing: Writing): QuantizerSite {
  const [reader, ...others] = consumersOf(writing.frozen.network, name);
  if (reader?.op !== "quantize" || others.length > 0)
    return refuse(name, "what it joins is not quantized once before it is read");
  return writing.siteOf(reader.name);
}

/** Channels of several tensors behind one another, all on the grid of the quantizer that reads them. */
export const concat = (node: ConcatNode, writing: Writing): Value =>
  finish(node, writing, {
    fuses: false,
    add(result) {
      const { model, free } = writing;
      const { grid } = model.at(result);
      const parts = node.inputs.map((input) => {
        const tensor = tensorOf(writing, input);
        const part = model.at(tensor);
        if (isSameGrid(part.grid, grid)) return tensor;
        const name = free(`${input} for ${node.name}`);
        const moved = model.tensor({
          name,
          type: "int8",
          shape: part.shape,
          ...(grid && { grid }),
        });
        return model.add("QUANTIZE", [tensor], moved);
      });
      model.add("CONCATENATION", parts, result, concatOptions);
    },
  });

const isSameGrid = (a: TfliteTensor["grid"], b: TfliteTensor["grid"]): boolean =>
  a?.scale[0] === b?.scale[0] && a?.zeroPoint[0] === b?.zeroPoint[0];

/** A quantizer that is not part of an operator: other integers, or the image, on its grid. */
export function quantizer({ name, input }: QuantizeNode, writing: Writing): Value {
  const { frozen, model, fused } = writing;
  if (fused.has(name)) return fused.get(name);
  const from = tensorOf(writing, input);
  const isImage = findNode(frozen.network, input).op === "input";
  if (!isImage && model.at(from).type === "float32")
    return refuse(name, "its value is needed in float between integers");
  return quantizedBy(writing, writing.siteOf(name), (result) => {
    model.add("QUANTIZE", [from], result);
  });
}
