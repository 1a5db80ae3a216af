import type { InputNode, Network } from "../../algorithms/network.js";
import { hasNode } from "../network/index.js";

/** What exported models call their input and output, if no node has the name. */
export const IMAGE_INPUT = "image";
export const LOGITS_OUTPUT = "logits";

/** A name for what a form adds to a network: `wanted`, with underscores where a node has it. */
export function freeName(network: Network, wanted: string): string {
  return hasNode(network, wanted) ? freeName(network, `${wanted}_`) : wanted;
}

/** What a file calls its images. */
export const imageName = (network: Network, { name }: InputNode): string =>
  name === IMAGE_INPUT ? name : freeName(network, IMAGE_INPUT);

/** The output that shows an activation site's values, where sites are exposed. */
export const exposedName = (network: Network, site: string): string =>
  freeName(network, `${site} exposed`);
