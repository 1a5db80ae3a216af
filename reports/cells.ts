import { deviceAccuracy, isExecuted, isVariant } from "../results/device.js";
import type { CellConfig, CellResult, CompletedCell } from "../results/schema.js";
import { variantLabel } from "../results/variant.js";

export const isCompleted = (result: CellResult): result is CompletedCell =>
  result.state === "completed";

/** "W4A8" */
export const bitsOf = ({ config: { bits } }: { readonly config: CellConfig }): string =>
  `W${String(bits.weights)}A${String(bits.activations)}`;

/** "resnet8, width 8"; a network that a user brought has only its name. */
export const modelOf = ({ config: { model } }: { readonly config: CellConfig }): string =>
  model.checksum === undefined ? `${model.name}, width ${String(model.width)}` : model.name;

/** The algorithm, with what a study varies: a row of tables. */
export function algorithmOf({ config }: { readonly config: CellConfig }): string {
  const variant = variantLabel(config);
  return variant === "" ? config.algorithm.name : `${config.algorithm.name}, ${variant}`;
}

/** Bytes that weights are kept in: at their bits, or in the compressed format of the algorithm. */
export const weightBytesOf = ({ size }: CompletedCell): number =>
  size.stored?.bytes ?? size.weightBytes;

export const backendOf = ({ config }: { readonly config: CellConfig }): string =>
  config.backend.name;

/** Where algorithms can be compared: the same data, network, backend and bits. */
export const placeOf = (result: { readonly config: CellConfig }): string =>
  JSON.stringify([
    ...[result.config.dataset.name, modelOf(result)],
    ...[backendOf(result), bitsOf(result)],
  ]);

/** What a cell asks, without the seed: cells that share it are repetitions of each other. */
export const questionOf = (result: CellResult): string =>
  JSON.stringify([
    result.config.dataset.name,
    modelOf(result),
    bitsOf(result),
    algorithmOf(result),
    backendOf(result),
  ]);

/** Members by key, in order of first appearance. */
export function groupBy<T>(members: readonly T[], keyOf: (member: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const member of members) {
    const key = keyOf(member);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [member]);
    else group.push(member);
  }
  return groups;
}

export const unique = (values: readonly string[]): string[] => [...new Set(values)];

export function stateLabel(state: CellResult["state"]): string {
  return state === "notConverged" ? "not converged" : state;
}

/** A deployed network may be so much less accurate than its simulation, as a share of images. */
export const GATE_TOLERANCE = 0.005;

/** Whether deployment lost more accuracy than the tolerance, on any runtime. */
export const missesGate = ({ accuracy, runtimes }: CompletedCell): boolean =>
  [accuracy.deployed, ...executedOf(runtimes).map(({ accuracy: deployed }) => deployed)].some(
    (deployed) => accuracy.simulated - deployed > GATE_TOLERANCE,
  );

const executedOf = (runtimes: CompletedCell["runtimes"]) =>
  Object.entries(runtimes).flatMap(([name, result]) =>
    isExecuted(result) && !isVariant(name) ? [result] : [],
  );

/** The lowest share of predictions that are the simulation's, of all runtimes. */
export const lowestAgreement = ({ agreement, runtimes }: CompletedCell): number =>
  Math.min(agreement.share, ...executedOf(runtimes).map((result) => result.agreement.share));

/** Standard deviations above guessing that a network must reach; luck gets there in one of 700. */
const ABOVE_CHANCE = 3;

/** Whether a network is no better than guessing on its test set. */
export function isAtChance(cell: CompletedCell): boolean {
  const { classes, testImages } = cell;
  const chance = 1 / classes;
  const deviation = Math.sqrt((chance * (1 - chance)) / testImages);
  return deviceAccuracy(cell) <= chance + ABOVE_CHANCE * deviation;
}
