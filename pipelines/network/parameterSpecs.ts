import type { Network } from "../../algorithms/network.js";
import { definitionOf } from "./float/index.js";
import { featureShapes } from "./featureShapes.js";
import { remembered } from "./remembered.js";
import { windowOf } from "./window.js";

export interface ParameterSpec {
  readonly shape: readonly number[];
  /** "statistics" are running averages: part of the state, but not of the gradient. */
  readonly group: "kernel" | "bias" | "batchNorm" | "statistics";
  /** Kernels start uniform in [-bound, bound] (He et al., 2015); all else with a constant. */
  readonly initial: { readonly uniform: number } | { readonly constant: number };
}

/** Every parameter of a network, in a fixed order. */
export const parameterSpecs = remembered(specsOf);

function specsOf(network: Network): ReadonlyMap<string, ParameterSpec> {
  const shapes = featureShapes(network);
  const specs = new Map<string, ParameterSpec>();
  const channelsInto = (name: string) => shapes.get(name)?.at(-1) ?? 1;
  for (const node of network.nodes) {
    if (node.op === "conv2d") {
      const inputs = node.depthwise ? 1 : channelsInto(node.input) / (node.groups ?? 1);
      const [rows, columns] = windowOf({ ...node, size: node.kernelSize }).size;
      const shape = node.depthwise
        ? [rows, columns, node.filters, 1]
        : [rows, columns, inputs, node.filters];
      specs.set(`${node.name}/kernel`, kernel(shape, rows * columns * inputs));
      if (node.bias) specs.set(`${node.name}/bias`, constant("bias", node.filters, 0));
      if (node.foldedBatchNorm !== undefined) addBatchNorm(node.foldedBatchNorm, node.filters);
    } else if (node.op === "dense") {
      const inputs = channelsInto(node.input);
      specs.set(`${node.name}/kernel`, kernel([inputs, node.units], inputs));
      specs.set(`${node.name}/bias`, constant("bias", node.units, 0));
    } else if (node.op === "batchNorm") {
      addBatchNorm(node.name, channelsInto(node.input));
    } else if (node.op === "float") {
      const inputs = node.inputs.map((name) => shapes.get(name) ?? []);
      const definition = definitionOf(node.operation);
      const { starts = {} } = definition;
      for (const [name, shape] of Object.entries(
        definition.parameters?.(node.operation, inputs) ?? {},
      )) {
        const start = starts[name];
        specs.set(
          `${node.name}/${name}`,
          start === undefined
            ? { shape, group: "bias", initial: { constant: 0 } }
            : { shape, group: "kernel", initial: start },
        );
      }
    }
  }
  return specs;

  function addBatchNorm(name: string, channels: number): void {
    specs.set(`${name}/gamma`, constant("batchNorm", channels, 1));
    specs.set(`${name}/beta`, constant("batchNorm", channels, 0));
    specs.set(`${name}/mean`, constant("statistics", channels, 0));
    specs.set(`${name}/variance`, constant("statistics", channels, 1));
  }
}

const kernel = (shape: readonly number[], fanIn: number): ParameterSpec => ({
  shape,
  group: "kernel",
  initial: { uniform: Math.sqrt(6 / fanIn) },
});

const constant = (
  group: ParameterSpec["group"],
  channels: number,
  value: number,
): ParameterSpec => ({ shape: [channels], group, initial: { constant: value } });

/** Multiplications of one inference, per convolution and dense layer. */
export function multiplications(network: Network): ReadonlyMap<string, number> {
  const shapes = featureShapes(network);
  const specs = parameterSpecs(network);
  const counts = new Map<string, number>();
  for (const node of network.nodes) {
    if (node.op !== "conv2d" && node.op !== "dense") continue;
    const weights = (specs.get(`${node.name}/kernel`)?.shape ?? []).reduce((a, b) => a * b, 1);
    const [height = 1, width = 1] = node.op === "conv2d" ? (shapes.get(node.name) ?? []) : [];
    counts.set(node.name, weights * height * width);
  }
  return counts;
}
