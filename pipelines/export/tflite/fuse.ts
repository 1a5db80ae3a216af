import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import type { NetworkNode, QuantizeNode } from "../../../algorithms/network.js";
import { consumersOf, findNode } from "../../network/index.js";
import type { FusedActivation } from "./options.js";
import { quantizedBy } from "./sites.js";
import { refuse, tensorOf, type Value, type Writing } from "./writing.js";

/** What follows an operator alone and becomes part of it. */
interface Fused {
  readonly activation: FusedActivation;
  /** The quantizer that reads the result; absent for the network's output. */
  readonly site?: QuantizerSite;
  /** Nodes that are written with the operator. */
  readonly nodes: readonly string[];
}

interface Operator {
  /** Whether an activation may become part of it. */
  readonly fuses: boolean;
  /** Adds it to the model; `result` is the number of its tensor. */
  readonly add: (result: number, activation: FusedActivation) => void;
}

/** Writes an operator with what follows it and its result's quantizer. */
export function finish(node: NetworkNode, writing: Writing, { fuses, add }: Operator): Value {
  const { site, activation, nodes } = followers(node, writing, fuses);
  if (site === undefined)
    return refuse(node.name, "its result is not quantized, which only a last dense layer may be");
  for (const one of nodes) writing.fused.set(one, undefined);
  const tensor = quantizedBy(writing, site, (result) => {
    add(result, activation);
  });
  writing.fused.set(site.id, tensor);
  return undefined;
}

/** The chain of one activation and one quantizer behind a node. */
function followers(node: NetworkNode, writing: Writing, fuses: boolean): Fused {
  const [reader, ...others] = consumersOf(writing.frozen.network, node.name);
  if (reader === undefined) return { activation: 0, nodes: [] };
  if (others.length > 0) return refuse(node.name, "its result is read in several ways");
  if (reader.op === "quantize")
    return { activation: 0, site: writing.siteOf(reader.name), nodes: [reader.name] };
  if (!fuses || (reader.op !== "relu" && reader.op !== "relu6"))
    return refuse(node.name, "its result is not quantized before it is read");
  const rest = followers(reader, writing, false);
  return {
    ...rest,
    activation: reader.op === "relu" ? 1 : 3,
    nodes: [reader.name, ...rest.nodes],
  };
}

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
