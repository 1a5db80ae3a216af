import { consumersOf, findNode, inputsOf, isLayer } from "./graph.js";
import type { QuantizedNetwork } from "./placeQuantizers.js";

/**
 * The quantizers of activations that no integers need once some layers compute in float: what such layers give each
 * other stays in float. Kept are those that an integer layer reads, and those that put into integers what integers gave,
 * since runtimes compute an operation in integers only where its result is quantized.
 *
 * @param inFloat names of layers
 */
export function idleQuantizers(
  { network }: QuantizedNetwork,
  inFloat: ReadonlySet<string>,
): ReadonlySet<string> {
  const known = new Map<string, boolean>();
  const comeFromIntegers = (name: string): boolean => {
    const node = findNode(network, name);
    const inputs = inputsOf(node);
    const answer =
      known.get(name) ??
      (isLayer(node) ? !inFloat.has(name) : inputs.length > 0 && inputs.every(comeFromIntegers));
    known.set(name, answer);
    return answer;
  };
  const readByIntegers = (name: string): boolean =>
    consumersOf(network, name).some((node) => isLayer(node) && !inFloat.has(node.name));
  return new Set(
    network.nodes.flatMap((node) =>
      node.op === "quantize" && !comeFromIntegers(node.input) && !readByIntegers(node.name)
        ? [node.name]
        : [],
    ),
  );
}
