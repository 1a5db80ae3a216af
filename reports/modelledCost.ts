import type { NetworkCost } from "../results/costSchema.js";

/** What a hardware model says of an image. */
export type Modelled = Exclude<NetworkCost["hardware"][string], { readonly unsupported: string }>;

/** One quantity of it; nothing where the model does not hold the network, or does not say. */
export function modelledCost(
  { hardware }: NetworkCost,
  name: string,
  of: (cost: Modelled) => number | undefined,
): number | undefined {
  const cost = hardware[name];
  return cost === undefined || "unsupported" in cost ? undefined : of(cost);
}
