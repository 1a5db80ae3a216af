import type { CompletedCell } from "../results/schema.js";
import { percent } from "./format.js";

type Partings = CompletedCell["inspection"]["partings"];

/** Which layer is the first to differ on the runtime, and why. */
export function divergenceOf({ inspection }: CompletedCell): string {
  const { images, sites, partings, isDeployedGraph = true } = inspection;
  const first = sites.find(({ differing = 0 }) => differing > 0);
  const caveat = isDeployedGraph
    ? ""
    : " What was looked at computes other logits than the deployed network: the runtime fuses other operators where activations are shown.";
  if (first === undefined)
    return `Every quantized activation has the same integers in simulation and on the runtime, on ${String(images)} images.${caveat}`;
  const { id, differing = 0, ties = 0, largestSteps = 0 } = first;
  const tied = ties > 0 ? ` (${percent(ties, 4)} % on the border between two levels)` : "";
  return (
    `The first tensor that differs between simulation and runtime is ${id}: ${percent(differing, 4)} % of its values${tied}, by at most ${largestSteps.toFixed(2)} steps.` +
    `${partingsText(partings, images)}${caveat}`
  );
}

/** The same for the integer reference; nothing where there is none. */
export function integerDivergenceOf({ inspection }: CompletedCell): string | undefined {
  const { images, sites, integersPartings } = inspection;
  const compared = sites.filter((site) => site.integersDiffering !== undefined);
  if (compared.length === 0) return undefined;
  const first = compared.find(({ integersDiffering = 0 }) => integersDiffering > 0);
  if (first === undefined)
    return "In the backend's own integer arithmetic, too, every quantized activation is the simulation's.";
  const { id, integersDiffering = 0, integersLargestSteps = 0 } = first;
  return `In the backend's own integer arithmetic, the first that differs from the simulation is ${id}: ${percent(integersDiffering, 4)} % of its values, by at most ${integersLargestSteps.toFixed(2)} steps.${partingsText(integersPartings, images)}`;
}

/** How many images differ, those where ties come first apart from the others. */
function partingsText(partings: Partings, images: number): string {
  if (partings === undefined) return "";
  const { byTies, otherwise } = partings;
  return ` Of ${String(images)} images ${String(byTies)} part from the simulation at ties in rounding, ${String(otherwise)} otherwise.`;
}
