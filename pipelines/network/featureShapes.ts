import type { FeatureShape, Network, NetworkNode } from "../../algorithms/network.js";
import { definitionOf } from "./float/index.js";
import { inputsOf } from "./graph.js";
import { remembered } from "./remembered.js";
import { windowOf, windowOutput } from "./window.js";

/**
 * The output shape of every node.
 *
 * @throws Error naming the node when the network is not well-formed
 */
export const featureShapes = remembered(shapesOf);

function shapesOf(network: Network): ReadonlyMap<string, FeatureShape> {
  const shapes = new Map<string, FeatureShape>();
  for (const node of network.nodes) {
    if (shapes.has(node.name)) throw new Error(`network has two nodes named "${node.name}"`);
    const inputs = inputsOf(node).map((name) => {
      const shape = shapes.get(name);
      if (shape === undefined)
        throw new Error(`node "${node.name}" reads "${name}" before it exists`);
      return shape;
    });
    shapes.set(node.name, outputShape(node, inputs));
  }
  return shapes;
}

/** The shape that a node gives, told from those it reads. */
export function outputShape(node: NetworkNode, inputs: readonly FeatureShape[]): FeatureShape {
  const [input = [], other = []] = inputs;
  switch (node.op) {
    case "input":
      return node.shape;
    case "conv2d": {
      const [height = 1, width = 1, channels = 1] = input;
      if (node.depthwise && node.filters !== channels) {
        throw new Error(
          `depthwise "${node.name}" has ${String(node.filters)} filters for ${String(channels)} channels`,
        );
      }
      const { groups = 1 } = node;
      if (channels % groups !== 0 || node.filters % groups !== 0) {
        throw new Error(
          `"${node.name}" splits ${String(channels)} channels and ${String(node.filters)} filters into ${String(groups)} groups`,
        );
      }
      const window = windowOf({ ...node, size: node.kernelSize });
      return [...windowOutput([height, width], window), node.filters];
    }
    case "dense":
      return [node.units];
    case "globalAveragePool":
      return node.keepsAxes ? [1, 1, ...input.slice(-1)] : input.slice(-1);
    case "maxPool": {
      const [height = 1, width = 1, channels = 1] = input;
      return [...windowOutput([height, width], windowOf(node)), channels];
    }
    case "float":
      return definitionOf(node.operation).shape(node.operation, inputs);
    case "permuteChannels":
      if (node.order.toSorted((a, b) => a - b).some((channel, i) => channel !== i))
        throw new Error(`"${node.name}" does not take each channel once`);
      if (node.order.length !== input.at(-1))
        throw new Error(
          `"${node.name}" orders ${String(node.order.length)} of ${String(input.at(-1))} channels`,
        );
      return input;
    case "add":
      if (input.join() !== other.join()) {
        throw new Error(`"${node.name}" adds [${input.join()}] and [${other.join()}]`);
      }
      return input;
    case "concat":
      return [...input.slice(0, -1), inputs.reduce((sum, shape) => sum + (shape.at(-1) ?? 0), 0)];
    case "batchNorm":
    case "relu":
    case "relu6":
    case "quantize":
      return input;
    default:
      return node satisfies never;
  }
}
