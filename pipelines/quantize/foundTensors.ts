import type { Network } from "../../algorithms/network.js";
import type { HostTensors } from "../engine/index.js";
import { initialParameters, parameterSpecs } from "../network/index.js";

/**
 * Parameters of the network that a search ended with, and the other values that it found. Parameters come from
 * what was found, else as they were trained, else, where the search changed their shape, new.
 *
 * @throws RangeError when what was found has another shape than the network's parameter
 */
export function foundTensors(
  network: Network,
  {
    trained,
    found,
    seed,
  }: { readonly trained: HostTensors; readonly found: HostTensors; readonly seed: number },
): { readonly parameters: HostTensors; readonly values: HostTensors } {
  const specs = parameterSpecs(network);
  const missing = [...specs].some(
    ([name, { shape }]) => (found[name] ?? trained[name])?.shape.join() !== shape.join(),
  );
  const fresh = missing ? initialParameters(network, seed) : {};
  const parameters: Record<string, HostTensors[string]> = {};
  for (const [name, before] of Object.entries(trained)) {
    const shape = specs.get(name)?.shape ?? before.shape;
    const given = found[name];
    if (given !== undefined && given.shape.join() !== shape.join())
      throw new RangeError(
        `a search gave "${name}" the shape [${given.shape.join()}]; its network has [${shape.join()}]`,
      );
    const isKept = before.shape.join() === shape.join();
    parameters[name] = given ?? (isKept ? before : (fresh[name] ?? before));
  }
  const values = Object.entries(found).filter(([name]) => !(name in trained));
  return { parameters, values: Object.fromEntries(values) };
}
