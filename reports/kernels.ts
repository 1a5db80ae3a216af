import type { CompletedCell } from "../results/schema.js";
import { percent } from "./format.js";
import { mean } from "./statistics/moments.js";

/** What the kernels that a cell was deployed with changed, where they are not the precise ones. */
interface KernelChange {
  /** Test images with another prediction. */
  readonly images: number;
  /** Of all. */
  readonly share: number;
  /** Whether saturation explains it. */
  readonly saturates: boolean;
}

export function kernelChange({ deployment, testImages }: CompletedCell): KernelChange | undefined {
  const images = deployment?.changed?.byKernels ?? 0;
  if (deployment === undefined || images === 0) return undefined;
  return { images, share: images / testImages, saturates: deployment.saturates };
}

const REMEDY = "7-bit weights or precise kernels avoid it";

/** Why predictions of some cells are not those of precise sums; nothing where they are. */
export function kernelNote(cells: readonly CompletedCell[]): string | undefined {
  const changes = cells.map(kernelChange);
  const found = changes.filter((change) => change !== undefined);
  if (found.length === 0) return undefined;
  const share = percent(mean(changes.map((change) => change?.share ?? 0)));
  return found.every(({ saturates }) => saturates)
    ? `this processor's u8·s8 kernels saturate: ${share} % of predictions changed; ${REMEDY}`
    : `kernels as shipped change ${share} % of predictions, and no saturation was found`;
}

/** The same for the page of a cell, with what else changed. */
export function kernelParagraph(cell: CompletedCell): string | undefined {
  const { deployment, testImages } = cell;
  if (deployment?.changed === undefined) return undefined;
  const { byRounding } = deployment.changed;
  const rest = `Of ${String(testImages)} predictions ${String(byRounding)} differ from the simulation by ties in rounding, although all sums are right`;
  const change = kernelChange(cell);
  if (change === undefined) return `${rest}.`;
  const note = kernelNote([cell]) ?? "";
  return `⚠ ${note.charAt(0).toUpperCase()}${note.slice(1)} (${String(change.images)} images). ${rest}.`;
}

/** What the deployed accuracy comes from. */
export function deploymentIdentity({ deployment }: CompletedCell): string | undefined {
  if (deployment === undefined) return undefined;
  const { runtime, instructionSet, kernels, saturates } = deployment;
  const which =
    kernels === "precise"
      ? "precise kernels, which compute the same on every processor"
      : `kernels as shipped, which ${saturates ? "saturate" : "are exact"} on this processor`;
  return `${runtime} on ${instructionSet}, ${which}`;
}
