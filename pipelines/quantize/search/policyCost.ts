import type { BudgetUnit, ChannelBits, Filters, Policy } from "../../../algorithms/laboratory.js";
import { OPERATOR_COST, type Network, type Operators } from "../../../algorithms/network.js";
import {
  hardwareCost,
  macsOf,
  weightsOf,
  type LayerWork,
} from "../../../backends/hardware/hardware.js";
import { hardwareModels } from "../../../backends/hardware/index.js";
import {
  featureShapes,
  layerWork,
  parameterSpecs,
  withFilters,
  withOperators,
  type QuantizedNetwork,
} from "../../network/index.js";
import { withBits } from "../withBits.js";

/** Microseconds of an image on a runtime of this machine. */
export type Clock = (quantized: QuantizedNetwork) => number;

/**
 * What a network with the bits of a policy costs, by the models that results are judged by, or as it is measured.
 *
 * @param changed what channels have bits or numbers of their own
 * @param clock for budgets of measured time
 * @throws RangeError when the hardware has no such layer, its model says nothing about the unit, or there is no clock
 */
export function policyCost(
  quantized: QuantizedNetwork,
  policy: Policy,
  unit: BudgetUnit,
  { channels = {}, filters = {}, operators = {} }: Changed = {},
  clock?: Clock,
): number {
  const { network, sites } = withOperators(withFilters(quantized, filters), operators);
  if (unit.unit === "operations") return weighedOperations(network);
  const places = withBits(sites, new Map(Object.entries(policy)));
  if (unit.unit === "microseconds") {
    if (clock === undefined)
      throw new RangeError(
        "time is measured where cells are computed; here is nothing to measure with",
      );
    return clock({ network, sites: places });
  }
  const work = layerWork(network, places, new Map(Object.entries(channels)));
  const ofLayers = costIn(unit)(work);
  return unit.unit === "memory" ? ofLayers + activationBits(places) : ofLayers;
}

interface Changed {
  readonly channels?: ChannelBits | undefined;
  readonly filters?: Filters | undefined;
  readonly operators?: Operators | undefined;
}

/** Products, and what shifts and distances count beside them. */
function weighedOperations(network: Network): number {
  const shapes = featureShapes(network);
  const specs = parameterSpecs(network);
  return network.nodes.reduce((sum, node) => {
    const isAdder = node.op === "float" && node.operation.kind === "adder";
    if (node.op !== "conv2d" && node.op !== "dense" && !isAdder) return sum;
    const weights = (specs.get(`${node.name}/kernel`)?.shape ?? []).reduce((a, b) => a * b, 1);
    const [height = 1, width = 1] = node.op === "dense" ? [] : (shapes.get(node.name) ?? []);
    const kind = isAdder ? "adder" : "operator" in node ? node.operator : undefined;
    return sum + weights * height * width * OPERATOR_COST[kind ?? "convolution"];
  }, 0);
}

/** Of all quantized activations of one image, each counted once. */
const activationBits = (sites: QuantizedNetwork["sites"]): number =>
  sites
    .filter(({ role }) => role === "activation")
    .reduce((sum, { shape, scheme }) => sum + shape.reduce((a, b) => a * b, scheme.bitWidth), 0);

function costIn(
  unit: Exclude<BudgetUnit, { readonly unit: "operations" | "microseconds" }>,
): (work: readonly LayerWork[]) => number {
  switch (unit.unit) {
    case "multiplications":
      return sumOf(macsOf);
    case "parameters":
      return sumOf(weightsOf);
    case "size":
    case "memory":
      return sumOf((work) => weightsOf(work) * work.weightBits);
    case "bitOps":
      return sumOf((work) => macsOf(work) * work.weightBits * work.activationBits);
    case "cycles":
    case "picojoules": {
      const model = hardwareModels.find(({ name }) => name === unit.on);
      if (model === undefined)
        throw new RangeError(
          `there is no hardware model "${unit.on}"; there are ${hardwareModels.map(({ name }) => name).join(", ")}`,
        );
      return (work) => {
        for (const layer of work) {
          const reason = model.unsupported?.(layer);
          if (reason !== undefined) throw new RangeError(`${layer.layer}: ${reason}`);
        }
        const cost = hardwareCost(model, work)[unit.unit];
        if (cost === undefined) throw new RangeError(`${model.title} has no ${unit.unit}`);
        return cost;
      };
    }
    default:
      return unit satisfies never;
  }
}

const sumOf =
  (of: (layer: LayerWork) => number) =>
  (work: readonly LayerWork[]): number =>
    work.reduce((sum, layer) => sum + of(layer), 0);
