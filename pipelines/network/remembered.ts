import type { Network } from "../../algorithms/network.js";

/** Networks are never changed, so what follows from one is computed once. */
export function remembered<T>(compute: (network: Network) => T): (network: Network) => T {
  const known = new WeakMap<Network, { readonly value: T }>();
  return (network) => {
    const found = known.get(network) ?? { value: compute(network) };
    known.set(network, found);
    return found.value;
  };
}
