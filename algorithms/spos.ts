import { TRAIN_ALL, type Algorithm } from "./algorithm.js";
import type { Found, Laboratory } from "./laboratory.js";
import { pact } from "./pact.js";
import {
  channelGenes,
  costOfDecided,
  firstChannels,
  narrowing as narrowingOf,
} from "./search/channelGenes.js";
import { evolve, ranked } from "./search/evolution.js";
import { costOfPath, genesOf, policyOf, type BitPair } from "./search/genes.js";
import { judgeOf, trainSupernet, type Sampling } from "./search/supernet.js";

/** What a layer may choose, besides the matrix's own bits. */
const PAIRS: readonly BitPair[] = [
  { weights: 2, activations: 2 },
  { weights: 2, activations: 4 },
  { weights: 3, activations: 4 },
  { weights: 4, activations: 4 },
  { weights: 4, activations: 8 },
  { weights: 8, activations: 8 },
];

/** Part of the image visits that trains the supernet; the others try paths. */
const SUPERNET_SHARE = 0.6;
/** Forwards, and twice as much backwards. */
const GRADIENT_VISITS = 3;

/**
 * Trains a network whose layers have other bits at every step, and then looks by evolution for the bits
 * that suit its weights best (sections 3.3 and 3.4).
 */
export async function searchPaths(
  laboratory: Laboratory,
  { sampling, channels = false }: { readonly sampling: Sampling; readonly channels?: boolean },
): Promise<Found> {
  const { budget, visits, epoch } = laboratory;
  const ofBits = genesOf(laboratory, PAIRS);
  const genes = channels ? [...ofBits, ...channelGenes(laboratory)] : ofBits;
  if (genes.length === 0) return { policy: {} };
  const costOf = channels ? costOfDecided(laboratory, genes) : costOfPath(genes, laboratory.cost);
  const space = { genes, budget, cost: costOf };
  const narrowing = channels ? narrowingOf(laboratory) : undefined;
  const [first] = epoch("supernet 0");
  const perStep = GRADIENT_VISITS * (first?.labels.data.length ?? NaN);
  const steps = Math.floor((SUPERNET_SHARE * visits.allowed) / perStep);
  const supernet = await trainSupernet(laboratory, space, { steps, sampling, narrowing });
  const { judge, visits: each } = judgeOf(laboratory, supernet, { narrowing });
  const tried = await evolve(laboratory, space, {
    evaluations: Math.floor((visits.allowed - visits.used) / each),
    judge: (path) => judge(policyOf(genes, path)),
  });
  const [best] = ranked(tried);
  if (best === undefined)
    throw new RangeError(
      `${String(visits.allowed)} image visits are too few to try a path, which takes ${String(each)}`,
    );
  const found = policyOf(genes, best.path);
  if (narrowing === undefined) return { policy: found };
  const { policy, filters } = narrowing.decided(found);
  return { policy, filters, tensors: firstChannels(laboratory, filters) };
}

/** All of SPOS but its name: how the supernet's paths are drawn. */
export const singlePath = (sampling: Sampling, channels = false) =>
  ({
    version: 2,
    source: {
      title:
        "Single Path One-Shot Neural Architecture Search with Uniform Sampling (Guo et al., ECCV 2020)",
      url: "https://arxiv.org/abs/1904.00420",
    },
    deviations: [
      "The published code searches blocks; how it is done for bits is from memory of section 4.3 of the paper: PACT as quantizer, a pair of bits for weights and inputs as the choice, bit operations as the budget.",
      "Bits alone are searched; sposChannels searches channels, too. The choices are (2, 2), (2, 4), (3, 4), (4, 4), (4, 8) and (8, 8) for each layer, since no backend here has 1 bit, and the matrix's own pair; the paper has (1, 2), (2, 2), (1, 4), (2, 4), (3, 4) and (4, 4) for each block. Layers that read the same input choose together; first and last layer keep their bits.",
      "The supernet starts from the float network and is trained with 60 % of the image visits that the matrix allows, at a rate that falls from five times the matrix's for quantized training to 0 and with its momentum and weight decay; the code trains for 120 epochs, from scratch, at 0.5. Gradients are shortened to a norm of 1, without which MobileNetV2's supernet diverges within 50 steps.",
      "Weights of all choices are shared and quantized on the fly; each input has a clip of its own at each width. Only what lies on a batch's path learns, and clips do not decay. Batch norm keeps its affine part, which the code leaves out of the supernet.",
      "Paths are judged on images that are held out, after batch norm was measured again on 512 training images (the code takes 25,600); of paths that are right as often, the one with the lower loss is better.",
      "Generations have 16 paths, or fewer where that makes less than 6 generations; 5 may be parents, and a choice mutates with a chance of a tenth or of one in all choices. The code has 20 generations of 50 and 10 parents. Where less than one in 500 paths fits the budget, paths are lowered at random until they fit.",
      "What is found is trained from the float network with the matrix's quantized training, as all others; the paper trains it from scratch.",
    ],
    weight: pact.weight,
    activation: pact.activation,
    phases: TRAIN_ALL,
    search: {
      budget: { unit: "bitOps" },
      candidates: [2, 3, 4, 8],
      ...(channels && { keepsTo: ["microseconds"] as const }),
      activations: true,
      run: (laboratory) => searchPaths(laboratory, { sampling, channels }),
    },
  }) as const satisfies Omit<Algorithm, "name" | "title">;

/** One supernet for all bits, then evolution within the budget. */
export const spos = {
  name: "spos",
  title: "SPOS",
  ...singlePath("uniform"),
} as const satisfies Algorithm;
