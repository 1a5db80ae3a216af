import type { Algorithm, QuantizerSite, QuantizerValues } from "./algorithm.js";
import type { Found, Laboratory } from "./laboratory.js";
import type { Network } from "./network.js";
import { lsq } from "./lsq.js";
import { TOP_BITS } from "./search/nestedCodes.js";
import { nestedStep } from "./search/nestedStep.js";
import { drawWidths, finishWidths, trainOnce } from "./search/onceTraining.js";
import { imagesOf } from "./search/batches.js";
import { measuredBatches } from "./search/recalibration.js";
import { nameAtWidth, servedAt } from "./search/servedWidths.js";
import { nameAt } from "./search/siteValues.js";

const WIDTHS = [2, 3, 4, 5, 6, 7, 8] as const;
/** Forwards, and twice as much backwards. */
const GRADIENT_VISITS = 3;

/**
 * One set of weights for all widths: trained once, each width's values are what the others have beside it.
 *
 * @param trained widths that training goes through, of those that the backend has; TOP_BITS always
 */
export async function trainNested(
  laboratory: Laboratory,
  trained: readonly number[],
): Promise<Found> {
  const { visits, heldOut, epoch, free, sites, random } = laboratory;
  const widths = WIDTHS.filter(
    (bits) =>
      bits === TOP_BITS || (trained.includes(bits) && laboratory.widths.weight.includes(bits)),
  );
  const measured = measuredBatches(laboratory);
  const finishing = widths.length * (imagesOf(measured) + imagesOf(heldOut));
  const [first] = epoch("once 0");
  const perStep =
    GRADIENT_VISITS * (first?.labels.data.length ?? NaN) * drawWidths(widths, random("any")).length;
  const steps = Math.floor((visits.allowed - finishing) / perStep);
  if (steps < 1)
    throw new RangeError(
      `${String(visits.allowed)} image visits are too few: ${String(finishing + perStep)} are needed`,
    );
  const options = { widths, activation: lsq.activation };
  const { descent } = await trainOnce(laboratory, { ...options, steps });
  const tensors = await finishWidths(laboratory, descent.tensors, { ...options, measured });
  const all = withTruncated(tensors, sites);
  const own = free.find(({ role }) => role === "weight")?.scheme.bitWidth ?? TOP_BITS;
  const tops = sites.flatMap((site) => {
    const top = all[nameAtWidth(nameAt(site, "scale"), TOP_BITS)];
    return site.role === "weight" && top !== undefined ? [[nameAt(site, "top"), top] as const] : [];
  });
  return { policy: {}, tensors: { ...servedAt(all, own), ...Object.fromEntries(tops) } };
}

/** Widths that training did not go through are those of TOP_BITS, whose steps are as much wider. */
function withTruncated(tensors: QuantizerValues, sites: readonly QuantizerSite[]): QuantizerValues {
  const steps = new Set(
    sites.filter(({ role }) => role === "weight").map((site) => nameAt(site, "scale")),
  );
  const ending = nameAtWidth("", TOP_BITS);
  const truncated = Object.entries(tensors).flatMap(([name, { shape, data }]) => {
    if (!name.endsWith(ending)) return [];
    const plain = name.slice(0, -ending.length);
    return WIDTHS.map((bits) => {
      const factor = steps.has(plain) ? 2 ** (TOP_BITS - bits) : 1;
      return [nameAtWidth(plain, bits), { shape, data: data.map((x) => x * factor) }] as const;
    });
  });
  return { ...Object.fromEntries(truncated), ...tensors };
}

/** Why a layer has no codes of which the first bits are codes, too. */
function needsNesting(
  { role, scheme }: QuantizerSite,
  network: Network = { nodes: [] },
): string | undefined {
  if (role === "activation") return undefined;
  if (!scheme.symmetric || !scheme.signed || scheme.narrowRange)
    return "codes can be nested where they are two's complement numbers without a zero point";
  if (scheme.bitWidth > TOP_BITS) return `its codes have ${String(TOP_BITS)} bits`;
  const folds = network.nodes.some((node) => node.op === "conv2d" && node.foldedBatchNorm);
  return folds
    ? "each width has its own batch norm, and where that is folded the codes would depend on it"
    : undefined;
}

/** All but names and what training goes through. */
export const nested = (trained: readonly number[]) =>
  ({
    version: 3,
    source: {
      title:
        "Vertical Layering of Quantized Neural Networks for Heterogeneous Inference (Wu et al., IEEE TPAMI 2023)",
      url: "https://arxiv.org/abs/2212.05326",
    },
    weight: nestedStep,
    activation: lsq.activation,
    phases: [],
    serves: WIDTHS,
    knownDefects: ["gradients of learned values add up to the change of the output"],
    unsupported: needsNesting,
    search: {
      budget: { unit: "size" },
      candidates: WIDTHS,
      activations: false,
      run: (laboratory) => trainNested(laboratory, trained),
    },
  }) as const satisfies Partial<Algorithm>;

/** Weights whose codes at fewer bits are the first bits of their codes: one artefact for all widths. */
export const verticalLayering = {
  name: "verticalLayering",
  title: "Vertical Layering",
  family: "quantization",
  ...nested(WIDTHS),
  deviations: [
    "No code is published, and only the abstract was read: that lower widths drop bits, that one set of source weights serves all and is moved by multi-objective optimization is from there; quantizer, steps, gradients, batch norm and schedule are reconstructions.",
    "Codes of 8 bits are rounded by LSQ's rule; each lower width drops the last bit (towards minus infinity). On the academic backend values lie in the middle of what the dropped bits may say; elsewhere levels are whole steps, and low widths lose by the shift.",
    "Each width has its own step for each layer, its own batch norm and its own steps of activations; weights and biases serve all. The step of 8 bits, by which codes are made, learns from the loss at 8 bits alone, so that below gradients of steps are not whole.",
    "Steps start so that codes reach 3.5 standard deviations or the largest weight, whichever is less; at 8 bits LSQ's own first step reaches five times as far, and narrow widths would see two codes. From such small steps LSQ's gradients throw those of 8 bits about, once to 600 times the size; they are divided by the largest code instead of its root, which keeps LSQ's balance of steps and weights.",
    "Weights move along the shortest vector among the means of the widths' gradients (MGDA, by Frank and Wolfe), without normalization. Each batch goes through 8 bits, 2 bits and two widths between that are drawn.",
    "It starts from the float network and is trained with the image visits of a search, at a rate that falls by a cosine from twice the matrix's for quantized training; nothing is trained after it. Batch norm of each width is then measured again on 512 training images.",
    "Activations have the matrix's bits at all widths of weights. First and last layer keep 8 bits and LSQ's own first step.",
    "Where batch norm is folded into weights it cannot run: the codes would be others at each width.",
  ],
} as const satisfies Algorithm;
