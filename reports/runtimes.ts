import {
  deviceRuntime,
  FIRST_RUNTIME,
  INTEGER_REFERENCE,
  isExecuted,
  isVariant,
} from "../results/device.js";
import type { CompletedCell, MeasuredRuntime } from "../results/schema.js";
import { backendOf, bitsOf, groupBy, modelOf, unique } from "./cells.js";
import { bytes, milliseconds, percent } from "./format.js";

/** How runtimes are called in reports. */
const TITLES: Readonly<Record<string, string>> = {
  onnxruntime: "onnxruntime",
  onnxruntimePrecise: "onnxruntime, precise kernels",
  onnxruntimeReduced: "onnxruntime, 7-bit weights",
  integers: "integer reference",
  onnxruntimeWeb: "onnxruntime-web",
  litert: "LiteRT",
};
export const runtimeTitle = (name: string): string => TITLES[name] ?? name;

/** What computes as a cell's device does, as deviceRuntime chooses it. */
export function deviceOf(cell: CompletedCell) {
  const { accuracy, agreement, config, runtimes } = cell;
  const name = deviceRuntime(config.backend.name, runtimes);
  const result = runtimes[name];
  const title = runtimeTitle(name);
  return isExecuted(result)
    ? { title, accuracy: result.accuracy, agreement: result.agreement }
    : { title, accuracy: accuracy.deployed, agreement };
}

/** Rows of a cell's table of runtimes, texts. */
export function runtimeRows({ runtimes, measured }: CompletedCell): string[][] {
  return Object.entries(runtimes).map(([name, result]) => {
    const title = runtimeTitle(name);
    if (!isExecuted(result)) {
      const reason = "failed" in result ? `failed: ${result.failed}` : result.unsupported;
      return [title, "–", "–", "–", "–", "–", "–", "–", "–", reason];
    }
    const { accuracy, agreement, equalLogits, modelBytes, operators = {} } = result;
    const { imagesPerSecond, peakBytes, latency } = timesOf(name, measured);
    return [
      title,
      percent(accuracy),
      percent(agreement.share),
      agreement.largestDifference.toPrecision(3),
      percent(equalLogits, 3),
      latency === undefined ? "–" : milliseconds(latency),
      imagesPerSecond === undefined ? "–" : String(Math.round(imagesPerSecond)),
      peakBytes === undefined ? "–" : bytes(peakBytes),
      bytes(modelBytes),
      Object.entries(operators)
        .map(([operator, count]) => `${String(count)} ${operator}`)
        .join(", "),
    ];
  });
}

/** onnxruntime's latency is the cell's, measured in turns with the float network. */
function timesOf(name: string, { latency, runtimes }: CompletedCell["measured"]) {
  const measured: MeasuredRuntime | undefined = runtimes[name];
  return {
    imagesPerSecond: measured?.imagesPerSecond,
    peakBytes: measured?.peakBytes,
    latency: name === "onnxruntime" ? latency.quantized.medianMs : measured?.latency?.medianMs,
  };
}

/** Rows over all cells: how each runtime compares with the simulation, by backend and bits. */
export function runtimeSummary(cells: readonly CompletedCell[]) {
  const groups = groupBy(cells, (cell) =>
    JSON.stringify([modelOf(cell), bitsOf(cell), backendOf(cell)]),
  );
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const names = unique(group.flatMap(({ runtimes }) => Object.keys(runtimes)));
    return names.flatMap((name) => {
      const executed = group.flatMap(({ accuracy, runtimes }) => {
        const result = runtimes[name];
        return isExecuted(result)
          ? [{ ...result, lost: accuracy.simulated - result.accuracy }]
          : [];
      });
      if (executed.length === 0) return [];
      const lowest = (values: readonly number[]) => Math.min(...values);
      return [
        {
          model: modelOf(first),
          bits: bitsOf(first),
          backend: backendOf(first),
          runtime: runtimeTitle(name),
          cells: executed.length,
          agreement: percent(lowest(executed.map(({ agreement }) => agreement.share))),
          lost: percent(Math.max(...executed.map(({ lost }) => lost))),
          equal: percent(lowest(executed.map(({ equalLogits }) => equalLogits)), 3),
        },
      ];
    });
  });
}

/** The runtime whose predictions are least like the simulation's. */
export function worstRuntime(cell: CompletedCell) {
  const { accuracy, agreement, runtimes } = cell;
  const executed = Object.entries(runtimes).flatMap(([name, result]) =>
    isExecuted(result) && !isVariant(name)
      ? [{ name, accuracy: result.accuracy, agreement: result.agreement }]
      : [],
  );
  const [worst] = executed.toSorted(
    (a, b) => a.agreement.share - b.agreement.share || a.accuracy - b.accuracy,
  );
  const found = worst ?? { name: FIRST_RUNTIME, accuracy: accuracy.deployed, agreement };
  return { ...found, title: runtimeTitle(found.name) };
}

/** The first layer that differs from the simulation on a runtime, where that was looked at. */
export function firstDifferingLayer(
  { inspection: { sites } }: CompletedCell,
  runtime: string,
): string | undefined {
  if (runtime === FIRST_RUNTIME) return sites.find(({ differing = 0 }) => differing > 0)?.id;
  if (runtime !== INTEGER_REFERENCE) return undefined;
  return sites.find(({ integersDiffering = 0 }) => integersDiffering > 0)?.id;
}
