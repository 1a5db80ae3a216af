import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import type { Source } from "../../../backends/backend.js";
import {
  type Encoding,
  encodingOf,
  type FrozenLevels,
  type FrozenNetwork,
  keptRange,
  levelsOf,
} from "../../freeze/index.js";
import { findNode } from "../../network/index.js";
import type { QuantizeNode } from "../../../algorithms/network.js";
import { freeName, imageName } from "../names.js";

/** Files of an artefact, by name. */
export type ArtefactFiles = ReadonlyMap<string, Uint8Array>;

/** A form in which a toolchain reads quantized networks. */
export interface ArtefactFormat {
  /** Equal to the name of its file. */
  readonly name: string;
  readonly title: string;
  readonly source: Source;
  /** Backend profiles whose toolchains read it. */
  readonly backends: readonly string[];
  /** What entries are named after: a tensor of the model beside them, or the quantizer itself. */
  readonly keys: "tensor" | "site";
  /** Where a ReLU6 became bounds on integers, so that fewer of them are left. */
  readonly mergesRelu6?: boolean;
  /** Why a quantizer cannot be written so. */
  readonly unsupported: (site: QuantizerSite, levels: FrozenLevels) => string | undefined;
  readonly write: (frozen: FrozenNetwork, name: string) => ArtefactFiles;
  /** What a toolchain would make of the files. */
  readonly read: (files: ArtefactFiles) => ReadonlyMap<string, Encoding>;
}

/** The tensor that a site quantizes, as the model without quantizers names it. */
export function tensorOf(frozen: FrozenNetwork, site: QuantizerSite): string {
  const { network } = frozen;
  if (site.role === "weight") return freeName(network, site.id);
  let node = findNode(network, site.id);
  while (node.op === "quantize") node = findNode(network, (node satisfies QuantizeNode).input);
  return node.op === "input" ? imageName(network, node) : node.name;
}

/** How far read values may lie from written ones, in steps: texts and float32 round. */
const TOLERANCE_STEPS = 1e-3;
const FLOAT32_NOISE = 2 ** -22;

/**
 * Writes a network in a format and reads it back as its toolchain would.
 *
 * @throws Error saying why the format cannot hold the network, or naming the tensor whose
 *   quantizer did not survive
 */
export function writeArtefact(
  format: ArtefactFormat,
  frozen: FrozenNetwork,
  name: string,
): ArtefactFiles {
  const expected = new Map<string, { site: QuantizerSite; encoding: Encoding }>();
  for (const site of frozen.sites) {
    const levels = levelsOf(frozen, site);
    const reason = format.unsupported(site, levels);
    if (reason !== undefined)
      throw new Error(`${format.title} cannot hold "${site.id}": ${reason}`);
    const key = format.keys === "site" ? site.id : tensorOf(frozen, site);
    const merged = format.mergesRelu6 === true && site.role === "activation";
    const encoding = encodingOf(site, levels, merged ? keptRange(frozen, site) : undefined);
    const known = expected.get(key);
    if (known !== undefined && differs(known.encoding, encoding))
      throw new Error(
        `${format.title} has one quantizer for each tensor, and "${key}" has two that differ: ${known.site.id}, ${site.id}`,
      );
    expected.set(key, { site, encoding });
  }
  const files = format.write(frozen, name);
  const found = format.read(files);
  for (const [key, { encoding }] of expected) {
    const read = found.get(key);
    if (read === undefined) throw new Error(`${format.title} lost the quantizer of "${key}"`);
    if (differs(encoding, read))
      throw new Error(
        `${format.title} changed the quantizer of "${key}": ${describe(encoding)} became ${describe(read)}`,
      );
  }
  return files;
}

function differs(a: Encoding, b: Encoding): boolean {
  if (a.levels !== b.levels || a.low.length !== b.low.length) return true;
  return a.low.some((low, i) => {
    const high = a.high[i] ?? NaN;
    const tolerance =
      ((high - low) / Math.max(1, a.levels - 1)) * TOLERANCE_STEPS + (high - low) * FLOAT32_NOISE;
    const near = (x: number, y = NaN) => Math.abs(x - y) <= tolerance;
    return !near(low, b.low[i]) || !near(high, b.high[i]);
  });
}

const describe = ({ low, high, levels }: Encoding): string =>
  `${String(levels)} levels from ${String(low[0])} to ${String(high[0])}`;

export const encodeText = (text: string): Uint8Array => new TextEncoder().encode(text);

/** @throws Error naming the file when it is missing */
export function fileOf(files: ArtefactFiles, ending: string): Uint8Array {
  const found = [...files].find(([name]) => name.endsWith(ending));
  if (found === undefined) throw new Error(`the artefact has no file that ends in ${ending}`);
  return found[1];
}

export const textOf = (files: ArtefactFiles, ending: string): string =>
  new TextDecoder().decode(fileOf(files, ending));
