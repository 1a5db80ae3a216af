import type { ConvNode, DenseNode } from "../../../algorithms/network.js";
import { exportOnnx } from "../../export/index.js";
import {
  type FrozenNetwork,
  layersInFloat,
  padChannels,
  reducedRange,
} from "../../freeze/index.js";
import { featureShapes, isLayer, multiplications, parameterSpecs } from "../../network/index.js";

/** A network as one file. */
export interface Form {
  readonly name: string;
  readonly model: Uint8Array;
  /** Names of the layers that compute in float: all are in the float network. */
  readonly inFloat: "all" | ReadonlySet<string>;
}

/** Layers that are decided on together. */
export interface Alike {
  /** As reports call them: "3x3 depthwise". */
  readonly title: string;
  readonly layers: readonly string[];
}

/** The network, as it is, with weights that do not saturate, or with more channels, which compute the same. */
export interface Variety {
  readonly frozen: FrozenNetwork;
  /** Behind the name of a form. */
  readonly suffix: string;
}

/** What kernels of runtimes are known to like: integers of fewer channels than 16, or no multiple of 4, are slow with VNNI. */
const PADDINGS = [
  { least: 16, multipleOf: 4, title: "at least 16 channels, in fours" },
  { least: 16, multipleOf: 16, title: "channels in sixteens" },
];

/** With weights of 7 bits, whose products fit kernels that add them in 16 bits. */
export const withSmallWeights = ({ frozen, suffix }: Variety): Variety => ({
  frozen: reducedRange(frozen),
  suffix: `${suffix}, 7-bit weights`,
});

/** The network, and with channels padded where that adds any. */
export function varieties({ frozen, suffix }: Variety): readonly Variety[] {
  const found: Variety[] = [{ frozen, suffix }];
  const widths = new Set<string>();
  for (const { title, ...padding } of PADDINGS) {
    const padded = padChannels(frozen, padding);
    const width = padded?.network.nodes
      .map((node) => ("filters" in node ? node.filters : 0))
      .join();
    if (padded === undefined || width === undefined || widths.has(width)) continue;
    widths.add(width);
    found.push({ frozen: padded, suffix: `${suffix}, ${title}` });
  }
  return found;
}

/** QuantizeLinear pairs, with some layers in float. */
export function pairs({ frozen, suffix }: Variety, left: readonly Alike[]): Form {
  const inFloat = new Set(left.flatMap(({ layers }) => layers));
  const titles = left.map(({ title }) => title).join(", ");
  return {
    name: `QuantizeLinear${suffix}${left.length === 0 ? "" : `, in float: ${titles}`}`,
    model: exportOnnx(layersInFloat(frozen, inFloat), "tuned"),
    inFloat,
  };
}

/** Layers with integer weights, by what kernels tell apart. */
export const alikeByKind = (frozen: FrozenNetwork): Alike[] =>
  alike(frozen, (layer, [rows = 1, columns = 1]) => kindOf(layer, rows, columns));

/**
 * Layers with integer weights, by kind and sizes; not those that are the only ones of their kind, nor those with less than a share of
 * all multiplications.
 */
export function alikeByShape(frozen: FrozenNetwork, leastShare: number): Alike[] {
  const { network } = frozen;
  const shapes = featureShapes(network);
  const counts = multiplications(network);
  const kinds = alikeByKind(frozen).map(({ layers }) => layers.join());
  const workOf = (layers: readonly string[]): number =>
    layers.reduce((sum, name) => sum + (counts.get(name) ?? 0), 0);
  const all = workOf([...counts.keys()]);
  return alike(frozen, (layer, [rows = 1, columns = 1]) => {
    const [from = "", to = ""] = [layer.input, layer.name].map((name) =>
      shapes.get(name)?.join("x"),
    );
    return `${kindOf(layer, rows, columns)} ${from} to ${to}`;
  }).filter(({ layers }) => !kinds.includes(layers.join()) && workOf(layers) >= leastShare * all);
}

type Layer = ConvNode | DenseNode;

function alike(
  { network, weights }: FrozenNetwork,
  titleOf: (layer: Layer, kernel: readonly number[]) => string,
): Alike[] {
  const specs = parameterSpecs(network);
  const groups = new Map<string, string[]>();
  for (const layer of network.nodes.filter(isLayer)) {
    const id = `${layer.name}/kernel`;
    if (!weights.has(id)) continue;
    const title = titleOf(layer, specs.get(id)?.shape ?? []);
    groups.set(title, [...(groups.get(title) ?? []), layer.name]);
  }
  return [...groups].map(([title, layers]) => ({ title, layers }));
}

function kindOf(layer: Layer, rows: number, columns: number): string {
  if (layer.op === "dense") return "dense";
  const window = `${String(rows)}x${String(columns)}`;
  if (layer.depthwise) return `${window} depthwise`;
  return (layer.groups ?? 1) > 1 ? `${window} grouped` : window;
}
