import { parse } from "csv-parse/sync";
import { stringify } from "csv-stringify/sync";
import { FIRST_RUNTIME, isExecuted } from "./device.js";
import type { CellResult, CompletedCell } from "./schema.js";
import { variantLabel } from "./variant.js";

/** Digits of accuracies: enough for test sets of a million images. */
const DIGITS = 6;

function identity({ id, config, state }: CellResult) {
  return {
    model: config.model.name,
    width: config.model.width,
    dataset: config.dataset.name,
    algorithm: config.algorithm.name,
    backend: config.backend.name,
    weight_bits: config.bits.weights,
    activation_bits: config.bits.activations,
    variant: variantLabel(config),
    seed: config.seed,
    state,
    id,
  };
}

/** One row per cell with everything that a repeated run must reproduce to the byte. */
export function accuracyCsv(results: readonly CellResult[]): string {
  const runtimes = runtimesOf(results);
  const densities = results.some(({ config }) => config.variant?.density !== undefined);
  return csv(
    results.map((result) => {
      const completed = result.state === "completed" ? result : undefined;
      const { name, version } = result.config.engine;
      return {
        ...identity(result),
        float_accuracy: completed?.accuracy.float.toFixed(DIGITS),
        simulated_accuracy: completed?.accuracy.simulated.toFixed(DIGITS),
        deployed_accuracy: completed?.accuracy.deployed.toFixed(DIGITS),
        agreement: completed?.agreement.share.toFixed(DIGITS),
        changed_by_rounding: completed?.deployment?.changed?.byRounding,
        changed_by_kernels: completed?.deployment?.changed?.byKernels,
        kernels_saturate: saturationOf(completed),
        largest_logit_difference: completed?.agreement.largestDifference.toPrecision(DIGITS),
        final_loss: completed?.losses.at(-1)?.toPrecision(DIGITS),
        weight_hash: completed?.weightHash,
        float_file_bytes: completed?.size.floatFileBytes,
        quantized_file_bytes: completed?.size.quantizedFileBytes,
        weight_bytes: completed?.size.weightBytes,
        // Only where a matrix asks for densities: tables that were published stay as they are.
        ...(densities && {
          nonzero_weights: completed?.sparsity?.nonzero,
          effective_multiplications: completed?.sparsity?.effectiveMacs,
          stored_bytes: completed?.sparsity?.storedBytes,
          stored_as: completed?.sparsity?.format,
        }),
        ...Object.fromEntries(
          runtimes.map((runtime) => {
            const found = completed?.runtimes[runtime];
            return [
              `${runtime}_accuracy`,
              isExecuted(found) ? found.accuracy.toFixed(DIGITS) : undefined,
            ];
          }),
        ),
        engine: `${name} ${String(version)}`,
        reason: "reason" in result ? result.reason : undefined,
      };
    }),
  );
}

/** Whether the kernels that a cell was deployed with saturate: never the precise ones. */
function saturationOf(cell: CompletedCell | undefined): string | undefined {
  if (cell?.deployment === undefined) return undefined;
  const { kernels, saturates } = cell.deployment;
  return kernels === "shipped" && saturates ? "yes" : "no";
}
/** What executed networks besides the first runtime, whose accuracy is the deployed one. */
const runtimesOf = (results: readonly CellResult[]): string[] =>
  [
    ...new Set(
      results.flatMap((result) =>
        result.state === "completed" ? Object.keys(result.runtimes) : [],
      ),
    ),
  ]
    .filter((name) => name !== FIRST_RUNTIME)
    .sort();

/** A row of accuracy.csv as text, by column; "" where there is nothing. */
export type AccuracyRow = Readonly<Record<string, string>>;

/** @throws Error saying where the text is no such table */
export function readAccuracyCsv(text: string): AccuracyRow[] {
  return parse(text, { columns: true, maxRecordSize: MOST_ROW_BYTES });
}
/** Reasons may be long. */
const MOST_ROW_BYTES = 100_000;

/** One row per completed cell with what was measured on this machine. */
export function latencyCsv(results: readonly CellResult[]): string {
  return csv(
    results
      .filter((result) => result.state === "completed")
      .map((result) => {
        const { float, quantized } = result.measured.latency;
        return {
          ...identity(result),
          float_median_ms: float.medianMs.toPrecision(DIGITS),
          float_mad_ms: float.madMs.toPrecision(DIGITS),
          float_samples: float.samples,
          quantized_median_ms: quantized.medianMs.toPrecision(DIGITS),
          quantized_mad_ms: quantized.madMs.toPrecision(DIGITS),
          quantized_samples: quantized.samples,
        };
      }),
  );
}

function csv(rows: readonly Record<string, unknown>[]): string {
  // A cell that starts like a formula would be executed by spreadsheet programs.
  return stringify([...rows], { header: true, escape_formulas: true });
}
