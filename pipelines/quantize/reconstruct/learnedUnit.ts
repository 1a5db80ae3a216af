import type { Algorithm, QuantizerSite, Reconstruction } from "../../../algorithms/algorithm.js";
import type { HostTensor, HostTensors } from "../../engine/index.js";
import type { Hyperparameters, TrainingKeeper, TrainingProgress } from "../../train/index.js";
import {
  type QuantizedNetwork,
  quantizerOf,
  type RowStorage,
  type Unit,
  valueName,
  withInputs,
} from "../../network/index.js";

export interface ReconstructionTask extends QuantizedNetwork {
  readonly algorithm: Algorithm & { readonly reconstruction: Reconstruction };
  /** Parameters and calibrated quantizers. */
  readonly tensors: HostTensors;
  /** Normalized calibration images, [count, height, width, channels]. */
  readonly images: HostTensor;
  readonly hyperparameters: Hyperparameters;
  readonly seed: number;
  readonly onUnit?: (progress: TrainingProgress) => void;
  /** Keeps how far it is, unit and step within the unit, and knows where it was stopped. */
  readonly keeper?: TrainingKeeper | undefined;
  /** For activations. */
  readonly storage?: RowStorage;
}

/** A unit under names that units of the same shape share, so that they share a compiled step. */
export class LearnedUnit {
  readonly network: Unit["network"];
  readonly output: string;
  readonly inputs: readonly string[];
  readonly sites: readonly QuantizerSite[];
  /** Names of the tensors that are learned, in the unit's naming. */
  readonly learned: readonly string[];
  /** Roundings among them, which end at 0 or 1. */
  readonly roundings: readonly string[];
  readonly key: string;
  readonly #short = new Map<string, string>();
  readonly #long = new Map<string, string>();

  constructor({ algorithm, sites, tensors }: ReconstructionTask, unit: Unit, trained: Set<string>) {
    unit.network.nodes.forEach((node, i) => {
      this.#name(node.name, `n${String(i)}`);
      if (node.op === "conv2d" && node.foldedBatchNorm !== undefined)
        this.#name(node.foldedBatchNorm, `b${String(i)}`);
    });
    const rename = (name: string): string => this.#short.get(name) ?? name;
    this.network = {
      nodes: unit.network.nodes.map((node) => {
        const named = withInputs({ ...node, name: rename(node.name) }, rename);
        return named.op === "conv2d" && named.foldedBatchNorm !== undefined
          ? { ...named, foldedBatchNorm: rename(named.foldedBatchNorm) }
          : named;
      }),
    };
    this.inputs = unit.inputs;
    this.output = rename(unit.output);
    const inside = sites.filter((site) => this.#isInside(site.id));
    const fresh = inside.filter(({ id }) => !trained.has(id));
    for (const { id } of fresh) trained.add(id);
    const names = (site: QuantizerSite, wanted: (name: string) => boolean) =>
      quantizerOf(algorithm, site)
        .learned.filter(wanted)
        .map((name) => valueName(site, name))
        .filter((name) => name in tensors)
        .map((name) => this.short(name));
    this.sites = inside.map((site) => ({ ...site, id: this.short(site.id) }));
    this.roundings = fresh.flatMap((site) => names(site, (name) => name === "rounding"));
    const scales = fresh.flatMap((site) => names(site, (name) => name === "scale"));
    this.learned = [...this.roundings, ...scales];
    this.key = JSON.stringify([this.network, this.sites, this.learned]);
  }

  #name(long: string, short: string): void {
    this.#short.set(long, short);
    this.#long.set(short, long);
  }

  #isInside(site: string): boolean {
    return this.#short.has(site) || this.#short.has(site.replace(/\/kernel$/, ""));
  }

  /** "s0.0.a/kernel:scale" -> "n3/kernel:scale"; sites of activations are nodes themselves. */
  short(name: string): string {
    return renamed(name, this.#short);
  }

  long(name: string): string {
    return renamed(name, this.#long);
  }

  /** The tensors of the unit, in its naming. */
  pick(tensors: HostTensors): HostTensors {
    return Object.fromEntries(
      Object.entries(tensors).flatMap(([name, tensor]) => {
        const short = this.short(name);
        return short === name ? [] : [[short, tensor]];
      }),
    );
  }
}

function renamed(name: string, names: ReadonlyMap<string, string>): string {
  const [node, value] = name.split(":", 2) as [string, string?];
  const suffix = value === undefined ? "" : `:${value}`;
  const whole = names.get(node);
  if (whole !== undefined) return whole + suffix;
  const parameter = /^(.*)(\/(?:kernel|bias|gamma|beta|mean|variance))$/.exec(node);
  const owner = names.get(parameter?.[1] ?? "");
  return owner === undefined ? name : `${owner}${parameter?.[2] ?? ""}${suffix}`;
}
