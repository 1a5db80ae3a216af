// Networks with random integers, for what needs no training.
import fc from "fast-check";
import { rangeOf } from "../../algorithms/affine.js";
import type { QuantizerSite } from "../../algorithms/algorithm.js";
import type { BackendProfile } from "../../backends/backend.js";
import { backends } from "../../backends/index.js";
import { mobileNetV2, type Model, resnet8 } from "../../benchmarks/models/index.js";
import type { FrozenLevels, FrozenNetwork, FrozenWeight } from "../../pipelines/freeze/index.js";
import {
  featureShapes,
  foldBatchNorm,
  isLayer,
  parameterSpecs,
  placeQuantizers,
} from "../../pipelines/network/index.js";
import { randomStream } from "../../pipelines/engine/index.js";

export interface Choice {
  readonly profile: BackendProfile;
  readonly bits: number;
  readonly seed: number;
  readonly model: Pick<Model, "build">;
  readonly width?: number;
  /** What steps of weights are divided by, so that sums fit the ranges that they are rounded to. */
  readonly calm?: number;
}

/** A network with random integers and grids, as training could have left it. */
export function frozenNetwork(choice: Choice): FrozenNetwork {
  const { profile, bits, seed, model, width = 4, calm = 1 } = choice;
  const random = randomStream(seed, "artefact");
  const float = model.build({ inputShape: [8, 8, 1], classes: 4, width });
  const folded = foldBatchNorm(float, 1);
  const { network, sites } = placeQuantizers(folded, profile, {
    weights: Math.max(bits, profile.bitWidths.weights.min),
    activations: Math.max(bits, profile.bitWidths.activations.min),
  });
  const scales = new Map<string, FrozenLevels>();
  const levelsFor = (site: QuantizerSite, count: number): FrozenLevels => {
    if (site.scheme.levels === "logarithmic") return logarithmicLevels(4 * random.uniform() + 0.1);
    const { quantMin, quantMax } = rangeOf(site);
    const exponent = () => -2 - random.integer(6);
    const scale = Float32Array.from({ length: count }, () =>
      site.scheme.scaleForm === "powerOfTwo" ? 2 ** exponent() : 0.01 + random.uniform() / 10,
    );
    const zeroPoint = Float32Array.from({ length: count }, () =>
      site.scheme.symmetric
        ? 0
        : quantMin + (site.nonNegative ? 0 : random.integer(quantMax - quantMin + 1)),
    );
    return { scale, zeroPoint };
  };
  const weights = new Map<string, FrozenWeight>();
  const specs = parameterSpecs(network);
  for (const site of sites) {
    const channels = site.shape[site.channelAxis] ?? 1;
    const perChannel = site.role === "weight" && site.scheme.granularity === "perChannel";
    const levels = levelsFor(site, perChannel ? channels : 1);
    if (site.role === "activation") {
      // What reads the same tensor has the same quantizer: tables have one for each.
      const node = network.nodes.find(({ name }) => name === site.id);
      const tensor = node?.op === "quantize" ? node.input : site.id;
      const known = scales.get(tensor) ?? levels;
      scales.set(tensor, known);
      scales.set(site.id, known);
      continue;
    }
    const size = (specs.get(site.id)?.shape ?? []).reduce((a, b) => a * b, 1);
    const { quantMin: from, quantMax: to } =
      "levels" in levels ? { quantMin: 0, quantMax: levels.levels.length - 1 } : rangeOf(site);
    const codes = Int32Array.from({ length: size }, () => from + random.integer(to - from + 1));
    const on =
      "levels" in levels ? levels : { ...levels, scale: levels.scale.map((step) => step / calm) };
    weights.set(site.id, { on, codes });
  }
  const shapes = featureShapes(network);
  const biases = new Map(
    network.nodes
      .filter(isLayer)
      .map(({ name }) => [
        name,
        Float32Array.from({ length: shapes.get(name)?.at(-1) ?? 1 }, () => random.uniform() - 0.5),
      ]),
  );
  const activations = new Map(
    sites
      .filter(({ role }) => role === "activation")
      .map(({ id }) => [id, scales.get(id) as FrozenLevels]),
  );
  return {
    network,
    sites,
    kernels: new Map(),
    weights,
    activations,
    biases,
    batchNorms: new Map(),
    floats: {},
  };
}

/** NNIE's: 128 magnitudes, sixteen to the octave (MQBench toolkit). */
function logarithmicLevels(limit: number): FrozenLevels {
  const lowest = Math.round(16 * Math.log2(limit)) - 127;
  const positive = Array.from({ length: 128 }, (_, code) => 2 ** ((code + lowest) / 16));
  const levels = Float32Array.from([
    ...positive
      .slice(1)
      .map((v) => -v)
      .reverse(),
    0,
    ...positive,
  ]);
  const thresholds = levels.slice(1).map((level, i) => (level + (levels[i] ?? 0)) / 2);
  return { levels, thresholds };
}

/** Any profile and width. */
export const choices = fc.record({
  profile: fc.constantFrom(...backends),
  bits: fc.integer({ min: 2, max: 8 }),
  seed: fc.integer(),
  model: fc.constantFrom(resnet8, mobileNetV2),
});
