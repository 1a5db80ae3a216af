import { consumersOf, findNode, inputsOf, isLayer } from "./graph.js";
import { featureShapes } from "./featureShapes.js";
import type { InputNode, Network, NetworkNode } from "../../algorithms/network.js";

/** A part of a network that is looked at on its own. */
export interface Unit {
  /** Begins with an input node for each tensor that it reads from elsewhere; ends with `output`. */
  readonly network: Network;
  /** Names of those tensors. */
  readonly inputs: readonly string[];
  /** The node whose value it gives. */
  readonly output: string;
}

const FOLLOWERS: readonly NetworkNode["op"][] = ["batchNorm", "relu", "relu6"];
/** A chain without shortcuts is cut behind so many layers (as in MQBench). */
const CHAIN_LAYERS = 3;

/**
 * What computes `output` from the tensors in `known`: the nodes between them, in order.
 *
 * @param known names of nodes whose value is there already
 */
export function unitBetween(network: Network, known: ReadonlySet<string>, output: string): Unit {
  const shapes = featureShapes(network);
  const needed = new Set<string>();
  const inputs = new Set<string>();
  const visit = (name: string): void => {
    if (needed.has(name)) return;
    needed.add(name);
    for (const input of inputsOf(findNode(network, name))) {
      if (known.has(input)) inputs.add(input);
      else visit(input);
    }
  };
  visit(output);
  const inputNodes = [...inputs].map((name): InputNode => ({
    op: "input",
    name,
    shape: shapes.get(name) ?? [],
  }));
  return {
    network: { nodes: [...inputNodes, ...network.nodes.filter(({ name }) => needed.has(name))] },
    inputs: [...inputs],
    output,
  };
}

/** Each convolution and dense layer with its input quantizer, batch norm and activation. */
export function layerUnits(network: Network): Unit[] {
  return network.nodes.filter(isLayer).map((layer) => {
    let output = layer.name;
    for (;;) {
      const [next, ...others] = consumersOf(network, output);
      if (next === undefined || others.length > 0 || !FOLLOWERS.includes(next.op)) break;
      output = next.name;
    }
    return unitBetween(network, tensorsBefore(network, layer), output);
  });
}

/** What a layer reads, before it is quantized. */
function tensorsBefore(network: Network, layer: NetworkNode): ReadonlySet<string> {
  return new Set(
    inputsOf(layer).map((name) => {
      const node = findNode(network, name);
      return node.op === "quantize" ? node.input : name;
    }),
  );
}

/**
 * Residual blocks, and chains of up to three layers where there is no shortcut: a network cut
 * where all that follows reads one tensor.
 */
export function blockUnits(network: Network): Unit[] {
  const [input] = network.nodes;
  if (input === undefined) return [];
  const units: Unit[] = [];
  let from = input.name;
  let end = from;
  let layers = 0;
  const flush = (): void => {
    if (layers > 0) {
      units.push(unitBetween(network, new Set([from]), end));
      from = end;
    }
    layers = 0;
  };
  for (const cut of cuts(network)) {
    const segment = unitBetween(network, new Set([end]), cut).network.nodes;
    const found = segment.filter(isLayer).length;
    const joins = segment.some(({ op }) => op === "add");
    if (joins || layers + found > CHAIN_LAYERS) flush();
    end = cut;
    layers += found;
    if (joins) flush();
  }
  flush();
  return units;
}

/** Nodes, quantizers aside, that everything behind them reads the network through. */
function cuts(network: Network): string[] {
  const place = new Map(network.nodes.map(({ name }, index) => [name, index]));
  const found: string[] = [];
  network.nodes.forEach(({ name, op }, index) => {
    if (index === 0 || op === "quantize") return;
    // A batch norm or activation belongs to what it follows.
    const [reader, ...others] = consumersOf(network, name);
    if (reader !== undefined && others.length === 0 && FOLLOWERS.includes(reader.op)) return;
    const passed = network.nodes
      .slice(index + 1)
      .some((later) => inputsOf(later).some((read) => (place.get(read) ?? 0) < index));
    if (!passed) found.push(name);
  });
  return found;
}
