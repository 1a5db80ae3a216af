import { existing } from "../existing.js";
import type { Quantizer } from "../algorithm.js";
import type { ChannelGroup, Laboratory, Runs } from "../laboratory.js";
import type { QuantizerSite, QuantizerValue, QuantizerValues } from "../quantizer.js";
import {
  affineGradients,
  atChoice,
  mixed,
  mixedNames,
  mixingInputs,
  type MixedGroup,
  type Sample,
} from "./channelMixing.js";
import { nameAt, valuesAt } from "./siteValues.js";
import { filtersOf, firstChoices, nameOf, type AllChoices, type Choices } from "./widthChoices.js";

/** A group whose channels are searched, and the batch norms of its convolutions. */
export interface SearchedGroup {
  readonly name: string;
  readonly group: ChannelGroup;
  readonly batchNorms: readonly string[];
}

const PARTS = ["gamma", "beta"] as const;

/** Groups that may change and have choices. */
function searchedGroups({
  network,
  groups,
}: Pick<Laboratory, "network" | "groups">): readonly SearchedGroup[] {
  const behind = new Map(
    network.nodes.flatMap((node) => (node.op === "batchNorm" ? [[node.input, node.name]] : [])),
  );
  return groups
    .filter((group) => group.fixedBy === undefined && firstChoices(group).widths.length > 1)
    .map((group) => ({
      ...{ name: nameOf(group), group },
      batchNorms: group.convolutions.flatMap((name) => behind.get(name) ?? []),
    }));
}

export const choicesOf = (choices: AllChoices, name: string): Choices => {
  const own = choices[name];
  if (own === undefined) throw new TypeError(`"${name}" has no choices`);
  return own;
};

/** By group, the two choices that a step mixes. */
export type Samples = ReadonlyMap<string, Sample>;

export const sampleOf = (samples: Samples, name: string): Sample => {
  const own = samples.get(name);
  if (own === undefined) throw new TypeError(`no choices of "${name}" were sampled`);
  return own;
};

/**
 * A network in which every group has several widths at once: a step mixes two of them, with a scale and a shift
 * of batch norm for each. Groups that have one width are as ever.
 */
export class MixedNetwork {
  readonly searched: readonly SearchedGroup[];
  readonly #laboratory: Laboratory;
  readonly #quantizers: Readonly<Record<QuantizerSite["role"], Quantizer>>;
  /** By the widths that the network has. */
  readonly #runs = new Map<string, Runs>();

  constructor(
    laboratory: Laboratory,
    quantizers: Readonly<Record<QuantizerSite["role"], Quantizer>>,
  ) {
    this.#laboratory = laboratory;
    this.#quantizers = quantizers;
    this.searched = searchedGroups(laboratory);
  }

  /** All tensors at first: the float network, each choice with a copy of its scales and shifts. */
  async start(choices: AllChoices): Promise<QuantizerValues> {
    const tensors: Record<string, QuantizerValue> = { ...this.#laboratory.parameters };
    for (const { name, batchNorms } of this.searched)
      for (const batchNorm of batchNorms)
        for (const part of PARTS) {
          const own = existing(tensors, `${batchNorm}/${part}`);
          for (const width of choicesOf(choices, name).widths)
            tensors[atChoice(batchNorm, part, width)] = own;
          tensors[`${batchNorm}/${part}`] = {
            ...own,
            data: own.data.map(() => (part === "gamma" ? 1 : 0)),
          };
        }
    return { ...tensors, ...(await this.#laboratory.calibrate(this.#quantizers)) };
  }

  /** The mixed network with room for all choices, compiled once for each widest ones. */
  run(choices: AllChoices, tensors: QuantizerValues): Runs {
    const groups = this.searched.map(({ group }) => group);
    const filters = filtersOf(groups, (name) => choicesOf(choices, name).widths.at(-1) ?? 1);
    const key = JSON.stringify(filters);
    const known = this.#runs.get(key) ?? this.#prepare(filters, tensors);
    this.#runs.set(key, known);
    return known;
  }

  #prepare(filters: Readonly<Record<string, number>>, tensors: QuantizerValues): Runs {
    const groupOf = new Map(
      this.searched.flatMap(({ name, batchNorms }) => batchNorms.map((one) => [one, name])),
    );
    const { sites, prepare } = this.#laboratory;
    const learned = sites.flatMap((site) =>
      this.#quantizers[site.role].learned.map((name) => nameAt(site, name)),
    );
    const own = Object.keys(this.#stepTensors(tensors)).filter((name) => {
      const [node = ""] = name.split(/\/(?:gamma|beta|mean|variance)$/);
      const isMixed = groupOf.has(node) && node !== name;
      return name.includes(":")
        ? learned.includes(name)
        : !isMixed && !/\/(mean|variance)$/.test(name);
    });
    return prepare({
      by: [...own, ...this.searched.flatMap(mixedNames)],
      ...{ filters, training: true },
      quantize: (x, site, inputs) =>
        this.#quantizers[site.role].fakeQuantize(x, valuesAt(site, inputs), site),
      after(x, node, inputs) {
        const group = groupOf.get(node);
        return group === undefined ? x : mixed(x, { batchNorm: node, group }, inputs);
      },
    });
  }

  /** What a step reads where each group mixes the two choices of its sample. */
  inputs(choices: AllChoices, tensors: QuantizerValues, samples: Samples): QuantizerValues {
    const mixing = this.searched.map((one) =>
      mixingInputs(mixedGroup(one, choices), sampleOf(samples, one.name), tensors),
    );
    return Object.assign({}, this.#stepTensors(tensors), ...mixing) as QuantizerValues;
  }

  /** Gradients of a step by the names that the search has for tensors. */
  gradients(choices: AllChoices, gradients: QuantizerValues, samples: Samples): QuantizerValues {
    const names = new Set(this.searched.flatMap(mixedNames));
    const own = Object.entries(gradients).filter(([name]) => !names.has(name));
    const affine = this.searched.map((one) =>
      affineGradients(mixedGroup(one, choices), sampleOf(samples, one.name), gradients),
    );
    return Object.assign(Object.fromEntries(own), ...affine) as QuantizerValues;
  }

  /** Without the scales and shifts of choices, which steps read under other names. */
  #stepTensors(tensors: QuantizerValues): QuantizerValues {
    const { parameters } = this.#laboratory;
    return Object.fromEntries(
      Object.entries(tensors).filter(([name]) => name in parameters || name.includes(":")),
    );
  }
}

const mixedGroup = ({ name, batchNorms }: SearchedGroup, choices: AllChoices): MixedGroup => ({
  name,
  batchNorms,
  choices: choicesOf(choices, name),
});
