import type { Algorithm, QuantizerValue } from "../../algorithms/algorithm.js";
import {
  float32,
  type HostTensor,
  type HostTensors,
  randomStream,
  sizeOf,
} from "../engine/index.js";
import { parameterSpecs } from "./parameterSpecs.js";
import type { Network } from "../../algorithms/network.js";

/**
 * First values of a network's parameters. Each has a random stream of its own, so that networks
 * which share a parameter's name and shape start from the same numbers.
 */
export function initialParameters(network: Network, seed: number): HostTensors {
  const parameters: Record<string, HostTensor> = {};
  for (const [name, { shape, initial }] of parameterSpecs(network)) {
    const random = randomStream(seed, `initial/${name}`);
    const data = Float32Array.from({ length: sizeOf(shape) }, () =>
      "constant" in initial ? initial.constant : (2 * random.uniform() - 1) * initial.uniform,
    );
    parameters[name] = float32(data, shape);
  }
  return parameters;
}

/**
 * Parameters of a rewritten network: as its algorithm says, or from the checkpoint where name and
 * shape agree and else new.
 */
export function inheritParameters(
  network: Network,
  checkpoint: HostTensors,
  { algorithm, seed }: { readonly algorithm: Algorithm; readonly seed: number },
): HostTensors {
  return Object.fromEntries(
    Object.entries(initialParameters(network, seed)).map(([name, fresh]) => {
      const trained = checkpoint[name];
      if (algorithm.inherit === undefined) {
        return [name, trained?.shape.join() === fresh.shape.join() ? trained : fresh];
      }
      const random = randomStream(seed, `inherit/${name}`);
      const data = algorithm.inherit({
        name,
        fresh: asValue(fresh),
        trained: trained && asValue(trained),
        network,
        random: () => random.uniform(),
      });
      return [name, { ...fresh, dtype: "float32", data }];
    }),
  );
}

const asValue = ({ shape, data }: HostTensor): QuantizerValue => ({
  shape,
  data: Float32Array.from(data),
});
