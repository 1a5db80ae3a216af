import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import {
  type FrozenGrid,
  type FrozenLevels,
  type FrozenNetwork,
  isCodebook,
  keptRange,
} from "../../freeze/index.js";
import { batchShape, refuse, type Writing } from "./writing.js";

/** Why a quantizer cannot be written, if so. */
export function unsupportedSite(
  { role, scheme }: QuantizerSite,
  levels: FrozenLevels,
): string | undefined {
  if (isCodebook(levels)) return "its steps are not equal";
  if (scheme.bitWidth > 8) return `${String(scheme.bitWidth)} bits are more than its 8`;
  if (scheme.rounding === "dpu") return "it rounds ties in its own way";
  if (role === "weight" && (!scheme.signed || levels.zeroPoint.some((zero) => zero !== 0)))
    return "its weights are symmetric";
  return undefined;
}

/** @throws NoForm where a quantizer cannot be written */
export function checkSite(frozen: FrozenNetwork, site: QuantizerSite): void {
  const levels = frozen.activations.get(site.id) ?? frozen.weights.get(site.id)?.on;
  const reason = levels && unsupportedSite(site, levels);
  if (reason !== undefined) refuse(site.id, reason);
}

/** What unsigned integers lose to become int8. */
const storageOffset = ({ scheme }: QuantizerSite): number => (scheme.signed ? 0 : 128);

/** An activation's grid for int8. */
function signedGrid(frozen: FrozenNetwork, site: QuantizerSite): FrozenGrid {
  const levels = frozen.activations.get(site.id);
  if (levels === undefined || isCodebook(levels)) return refuse(site.id, "its steps are not equal");
  const offset = storageOffset(site);
  return { scale: levels.scale, zeroPoint: levels.zeroPoint.map((zero) => zero - offset) };
}

/**
 * Writes an operator whose result a site quantizes, and keeps it within the site's range.
 *
 * @param part name and shape, where the result is a part of what the site quantizes
 */
export function quantizedBy(
  writing: Writing,
  site: QuantizerSite,
  add: (result: number) => void,
  part?: { readonly name: string; readonly shape: readonly number[] },
): number {
  const { frozen, model, free } = writing;
  const id = part?.name ?? site.id;
  const offset = storageOffset(site);
  const { quantMin, quantMax } = keptRange(frozen, site);
  const grid = signedGrid(frozen, site);
  const shape = part?.shape ?? batchShape(writing, id);
  const tensor = (name: string) => model.tensor({ name, type: "int8", shape, grid });
  // Where integers of the type are left over, bounds cut them off.
  const bounds = (
    [
      ["MAXIMUM", quantMin - offset, -128],
      ["MINIMUM", quantMax - offset, 127],
    ] as const
  ).filter(([, bound, free]) => bound !== free);
  const first = tensor(bounds.length === 0 ? id : free(`${id} before bounds`));
  add(first);
  return bounds.reduce((current, [operator, bound], i) => {
    const limit = model.tensor({
      ...{ name: free(`${id} ${operator.toLowerCase()}`), type: "int8", shape: [1], grid },
      data: Int8Array.of(bound),
    });
    const result = tensor(i === bounds.length - 1 ? id : free(`${id} within one bound`));
    return model.add(operator, [current, limit], result);
  }, first);
}
