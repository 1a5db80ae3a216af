import { inputsOf, withInputs } from "./graph.js";
import type { QuantizedNetwork } from "./placeQuantizers.js";

/** The network without the quantizers of some sites: what they were on stays in float. */
export function leftInFloat(
  { network, sites }: QuantizedNetwork,
  ids: ReadonlySet<string>,
): QuantizedNetwork {
  const passed = new Map(
    network.nodes.flatMap((node) =>
      node.op === "quantize" && ids.has(node.name) ? [[node.name, inputsOf(node)[0] ?? ""]] : [],
    ),
  );
  const sourceOf = (name: string): string => {
    const before = passed.get(name);
    return before === undefined ? name : sourceOf(before);
  };
  return {
    network: {
      nodes: network.nodes
        .filter(({ name }) => !passed.has(name))
        .map((node) => withInputs(node, sourceOf)),
    },
    sites: sites.filter(({ id }) => !ids.has(id)),
  };
}
