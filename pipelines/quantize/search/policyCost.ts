import type { BudgetUnit, ChannelBits, Filters, Policy } from "../../../algorithms/laboratory.js";
import { macsOf, weightsOf, type LayerWork } from "../../../backends/hardware/hardware.js";
import { hardwareModels } from "../../../backends/hardware/index.js";
import { layerWork, withFilters, type QuantizedNetwork } from "../../network/index.js";
import { withBits } from "../withBits.js";

/**
 * What a network with the bits of a policy costs, by the models that results are judged by.
 *
 * @param changed what channels have bits or numbers of their own
 * @throws RangeError when the hardware has no such layer, or its model says nothing about the unit
 */
export function policyCost(
  quantized: QuantizedNetwork,
  policy: Policy,
  unit: BudgetUnit,
  {
    channels = {},
    filters = {},
  }: { readonly channels?: ChannelBits | undefined; readonly filters?: Filters | undefined } = {},
): number {
  const { network, sites } = withFilters(quantized, filters);
  const places = withBits(sites, new Map(Object.entries(policy)));
  const work = layerWork(network, places, new Map(Object.entries(channels)));
  const cost = costIn(unit);
  const ofLayers = work.reduce((sum, layer) => sum + cost(layer), 0);
  return unit.unit === "memory" ? ofLayers + activationBits(places) : ofLayers;
}

/** Of all quantized activations of one image, each counted once. */
const activationBits = (sites: QuantizedNetwork["sites"]): number =>
  sites
    .filter(({ role }) => role === "activation")
    .reduce((sum, { shape, scheme }) => sum + shape.reduce((a, b) => a * b, scheme.bitWidth), 0);

function costIn(unit: BudgetUnit): (work: LayerWork) => number {
  switch (unit.unit) {
    case "multiplications":
      return macsOf;
    case "parameters":
      return weightsOf;
    case "size":
    case "memory":
      return (work) => weightsOf(work) * work.weightBits;
    case "bitOps":
      return (work) => macsOf(work) * work.weightBits * work.activationBits;
    case "cycles":
    case "picojoules": {
      const model = hardwareModels.find(({ name }) => name === unit.on);
      if (model === undefined)
        throw new RangeError(
          `there is no hardware model "${unit.on}"; there are ${hardwareModels.map(({ name }) => name).join(", ")}`,
        );
      return (work) => {
        const reason = model.unsupported?.(work);
        if (reason !== undefined) throw new RangeError(`${work.layer}: ${reason}`);
        const cost = model.cost(work)[unit.unit];
        if (cost === undefined) throw new RangeError(`${model.title} has no ${unit.unit}`);
        return cost;
      };
    }
    default:
      return unit satisfies never;
  }
}
