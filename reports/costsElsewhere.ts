import type { CellResult, CompletedCell } from "../results/schema.js";
import { backendOf, bitsOf, groupBy, isCompleted, modelOf, placeOf } from "./cells.js";
import { modelledCost } from "./modelledCost.js";

/** What was found for one hardware model, and what that costs on the others. */
export interface CostsElsewhere {
  /** Of the cells that are compared. */
  readonly cells: readonly CompletedCell[];
  /** By the target of other searches: the cost by seed, as a part of what was found for that target by the same seed. */
  readonly parts: ReadonlyMap<string, readonly number[]>;
}

/** Searches by one algorithm, at one place, for several hardware models. */
export interface HardwareTargets {
  readonly name: string;
  /** "cycles on bitFusion" */
  readonly targets: readonly string[];
  readonly rows: readonly CostsElsewhere[];
}

/**
 * Whether what is found for one hardware is cheapest there, which is what searches with hardware in the
 * loop are for (HAQ): costs of each policy on the hardware of the others.
 */
export function costsElsewhere(results: readonly CellResult[]): HardwareTargets[] {
  const aimed = results
    .filter(isCompleted)
    .filter((cell) => targetOf(cell) !== undefined && cell.config.variant?.search !== "random");
  return [...groupBy(aimed, withoutTarget).values()].flatMap((cells) => {
    const byTarget = groupBy(cells, (cell) => targetOf(cell)?.name ?? "");
    const [first] = cells;
    if (first === undefined || byTarget.size < 2) return [];
    const name = [modelOf(first), first.config.algorithm.name, bitsOf(first), backendOf(first)];
    const rows = [...byTarget.values()].map((own) => ({
      cells: own,
      parts: new Map([...byTarget].map(([target, others]) => [target, partsOf(own, others)])),
    }));
    return [{ name: name.join(", "), targets: [...byTarget.keys()], rows }];
  });
}

/** By seed, what the first cells cost on the hardware of the others, as a part of what those do. */
function partsOf(cells: readonly CompletedCell[], others: readonly CompletedCell[]): number[] {
  return others.flatMap((other) => {
    const target = targetOf(other);
    const own = cells.find(({ config }) => config.seed === other.config.seed);
    const [cost, least] = [own, other].map((cell) => cell && target && costOn(cell, target));
    return cost === undefined || least === undefined || least === 0 ? [] : [cost / least];
  });
}

interface Target {
  readonly name: string;
  readonly unit: "cycles" | "microjoules";
  readonly on: string;
}

/** The hardware model that a cell's bits were searched for. */
function targetOf({ search }: CompletedCell): Target | undefined {
  const { unit, on } = search?.budget ?? {};
  if (on === undefined || (unit !== "cycles" && unit !== "picojoules")) return undefined;
  return {
    name: `${unit} on ${on}`,
    unit: unit === "cycles" ? "cycles" : "microjoules",
    on,
  };
}

const costOn = ({ cost }: CompletedCell, { unit, on }: Target): number | undefined =>
  modelledCost(cost.quantized, on, (modelled) => modelled[unit]);

/** What searches for several targets share: all but the target. */
function withoutTarget(cell: CompletedCell): string {
  const { variant: { budget, ...variant } = {}, algorithm } = cell.config;
  return JSON.stringify([placeOf(cell), algorithm.name, variant, budget?.share]);
}
