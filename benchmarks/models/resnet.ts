import type { Network, OperatorKind } from "../../algorithms/network.js";
import type { ModelOptions } from "./model.js";
import { NetworkBuilder } from "./networkBuilder.js";

interface Operators {
  readonly operatorOf?: (layer: string) => OperatorKind;
}

/**
 * A CIFAR-style residual network: a 3x3 stem, three stages of basic blocks whose width doubles
 * and whose size halves, mean, dense. Where a block changes the shape, its shortcut is a strided
 * 1x1 convolution with batch norm (option B of the paper, which uses option A for CIFAR).
 *
 * @param options.operatorOf what layers between stem and classifier are, by their names, such as "s0.0.a"
 * @see He et al., Deep Residual Learning for Image Recognition, 2016, section 4.2
 */
export function residualNetwork(
  { inputShape, classes, width }: ModelOptions,
  blocksPerStage: number,
  { operatorOf = () => "convolution" }: Operators = {},
): Network {
  const net = new NetworkBuilder();
  const image = net.input(inputShape);
  let x = net.convolution("stem", image, { filters: width, kernelSize: 3, activation: "relu" });
  for (let stage = 0; stage < 3; stage++) {
    const filters = width * 2 ** stage;
    for (let block = 0; block < blocksPerStage; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const name = `s${String(stage)}.${String(block)}`;
      const a = net.convolution(`${name}.a`, x, {
        filters,
        kernelSize: 3,
        stride,
        operator: operatorOf(`${name}.a`),
        activation: "relu",
      });
      const b = net.convolution(`${name}.b`, a, {
        filters,
        kernelSize: 3,
        operator: operatorOf(`${name}.b`),
      });
      const shortcut =
        stride === 1
          ? x
          : net.convolution(`${name}.d`, x, {
              ...{ filters, kernelSize: 1, stride },
              operator: operatorOf(`${name}.d`),
            });
      x = net.relu(`${name}.relu`, net.add(`${name}.add`, [b, shortcut]));
    }
  }
  return net.classifier(x, classes);
}
