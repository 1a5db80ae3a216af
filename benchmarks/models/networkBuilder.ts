import type { Network, NetworkNode, OperatorKind, Pair } from "../../algorithms/network.js";

interface Convolution {
  readonly filters: number;
  readonly kernelSize: Pair;
  readonly stride?: Pair;
  readonly depthwise?: boolean;
  readonly groups?: number;
  readonly activation?: "relu" | "relu6";
  /** "convolution" if absent. */
  readonly operator?: OperatorKind;
}

/** Appends nodes in order; every method returns the name of the node that holds the result. */
export class NetworkBuilder {
  readonly #nodes: NetworkNode[] = [];

  input(shape: readonly number[]): string {
    return this.#push({ op: "input", name: "image", shape });
  }

  /** Convolution (or another operator) without bias, batch norm, and an activation if one is named. */
  convolution(name: string, input: string, options: Convolution): string {
    const { filters, kernelSize, stride = 1, depthwise = false, groups, activation } = options;
    const { operator = "convolution" } = options;
    const shape = {
      filters,
      kernelSize,
      stride,
      depthwise,
      ...(groups !== undefined && { groups }),
    };
    if (operator === "adder") {
      const operation = { kind: "adder", filters, size: kernelSize, stride } as const;
      this.#push({ op: "float", name, inputs: [input], operation });
    } else {
      const shift = operator === "shift" && { operator };
      this.#push({ op: "conv2d", name, input, ...shape, ...shift });
    }
    const normalized = this.#push({ op: "batchNorm", name: `${name}.bn`, input: name });
    if (activation === undefined) return normalized;
    return this.#push({ op: activation, name: `${name}.${activation}`, input: normalized });
  }

  maxPool(name: string, input: string, options: { size: number; stride: number }): string {
    return this.#push({ op: "maxPool", name, input, ...options });
  }

  add(name: string, inputs: readonly [string, string]): string {
    return this.#push({ op: "add", name, inputs });
  }

  /** Output channel i is input channel order[i]. */
  permute(name: string, input: string, order: readonly number[]): string {
    return this.#push({ op: "permuteChannels", name, input, order });
  }

  relu(name: string, input: string): string {
    return this.#push({ op: "relu", name, input });
  }

  /** Mean over the image, then a dense layer: the network's logits. */
  classifier(input: string, classes: number): Network {
    const pooled = this.#push({ op: "globalAveragePool", name: "pool", input });
    this.#push({ op: "dense", name: "classifier", input: pooled, units: classes });
    return { nodes: this.#nodes };
  }

  #push(node: NetworkNode): string {
    this.#nodes.push(node);
    return node.name;
  }
}
