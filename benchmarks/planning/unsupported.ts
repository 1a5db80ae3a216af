import { phasesOf, unsupportedLevels } from "../../algorithms/algorithm.js";
import { FLOAT_BITS } from "../../backends/hardware/hardware.js";
import { quantizerOf } from "../../pipelines/network/index.js";
import { widthsWithin } from "../../pipelines/quantize/index.js";
import type { Dataset } from "../../pipelines/train/index.js";
import type { CellConfig } from "../../results/schema.js";
import type { CellParts } from "./cellParts.js";

/** Why a cell cannot be run, or nothing. */
export function unsupportedReason(config: CellConfig, parts: CellParts): string | undefined {
  const { algorithm, backend, quantized } = parts;
  for (const role of ["weights", "activations"] as const) {
    const { min, max, float = false } = backend.bitWidths[role];
    const wanted = config.bits[role];
    if (wanted === FLOAT_BITS && !float) return `${backend.title} does not leave ${role} in float`;
    if (wanted !== FLOAT_BITS && (wanted < min || wanted > max)) {
      const range = min === max ? String(min) : `${String(min)} to ${String(max)}`;
      return `${backend.title} holds ${role} of ${range} bits, not ${String(wanted)}`;
    }
  }
  for (const site of quantized.sites) {
    const reason =
      unsupportedLevels(quantizerOf(algorithm, site), site) ??
      (site.operator === undefined ? algorithm.unsupported?.(site, quantized.network) : undefined);
    if (reason !== undefined) return `${site.role} quantization: ${reason}`;
  }
  const own = phasesOf(algorithm, quantized.network).find(({ loss }) => loss !== undefined);
  if (config.hyperparameters.distillation !== undefined && own !== undefined)
    return `it has a loss of its own ("${own.name}"), in whose place distillation would be`;
  if (config.variant?.density !== undefined && algorithm.atDensity === undefined)
    return "it does not prune to a density";
  if (config.variant?.operators !== undefined && algorithm.atOperators === undefined)
    return "it does not choose operators";
  return (
    unsupportedInFloat(config, parts) ??
    unsupportedOperators(parts) ??
    unsupportedSearch(config, parts)
  );
}

/** Why an algorithm that looks at layers one by one has no answer for what some of them are, or nothing. */
function unsupportedOperators({ algorithm, floatNetwork }: CellParts): string | undefined {
  const { equalize = false, correctBias = false } = algorithm.corrections ?? {};
  const looks =
    algorithm.search !== undefined ||
    algorithm.reconstruction !== undefined ||
    algorithm.rewrite !== undefined ||
    equalize ||
    correctBias;
  const other = floatNetwork.nodes.find(
    (node) =>
      (node.op === "conv2d" && node.operator !== undefined) ||
      (node.op === "float" && node.operation.kind === "adder"),
  );
  return !looks || other === undefined
    ? undefined
    : `it knows convolutions and dense layers alone, and ${other.name} is another operator`;
}

/** Why an algorithm has nothing to do where weights stay in float, or nothing. */
function unsupportedInFloat({ bits }: CellConfig, { algorithm }: CellParts): string | undefined {
  if (bits.weights !== FLOAT_BITS) return undefined;
  if (algorithm.search !== undefined) return "there are no weights whose bits it could choose";
  if (algorithm.family === "pruning") return "it prunes weights where they are quantized";
  if (algorithm.reconstruction !== undefined)
    return "there are no weights whose rounding it could learn";
  return undefined;
}

/** Why an algorithm's search has nothing to choose, or is not what the variant asks for. */
function unsupportedSearch({ variant }: CellConfig, { algorithm, backend }: CellParts) {
  const { search } = algorithm;
  if (search === undefined)
    return variant?.budget !== undefined || variant?.search !== undefined
      ? "it does not search bits"
      : undefined;
  if (search.candidates.length === 0) {
    if (variant?.search !== undefined)
      return "it searches no bits, so that random search of bits is no control";
    if (variant?.budget === undefined) return undefined;
    const { keepsTo } = search;
    if (keepsTo === undefined)
      return "it searches neither bits nor channels, so that it keeps to no budget";
    return keepsTo.includes(variant.budget.unit)
      ? undefined
      : `it keeps to a budget of ${keepsTo.join(" or ")}, not of ${variant.budget.unit}`;
  }
  if (variant?.budget?.unit === "microseconds" && search.keepsTo?.includes("microseconds") !== true)
    return "it searches bits alone, and onnxruntime takes as long for all widths up to 8 bits";
  const widths = widthsWithin(search.candidates, backend.bitWidths.weights);
  if (widths.length < 2)
    return `there is no choice of bits: ${backend.title} holds weights of ${widths.join(", ") || "none"} of ${search.candidates.join(", ")} bits`;
  return undefined;
}

/** Training images without labels are only good for calibration. */
export function missingLabels(
  { train }: Dataset,
  { algorithm, quantized }: CellParts,
): string | undefined {
  const learns = phasesOf(algorithm, quantized.network).length > 0 || algorithm.search;
  return learns && train.labels.length === 0 && train.count > 0
    ? "it learns from labels, which the training images do not have"
    : undefined;
}
