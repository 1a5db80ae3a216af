import type { QuantizerSite, QuantizerTensors } from "../algorithm.js";

/** How an experiment's inputs name a value of a site's quantizer. */
export const nameAt = ({ id }: Pick<QuantizerSite, "id">, value: string): string =>
  `${id}:${value}`;

/** A site's values among an experiment's inputs. */
export function valuesAt(site: QuantizerSite, inputs: QuantizerTensors): QuantizerTensors {
  const prefix = nameAt(site, "");
  return Object.fromEntries(
    Object.entries(inputs)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );
}
