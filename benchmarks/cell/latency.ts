import * as ort from "../../pipelines/onnxruntime.js";
import { Bench } from "tinybench";
import { infer, type Kernels, loadModel } from "../../pipelines/deploy/index.js";
import type { Latency } from "../../results/schema.js";

const WARM_UP_MS = 100;
const MEASURE_MS = 300;
/** Both models take turns this often, so that a busy moment hits both. */
const ROUNDS = 3;
/** The float model is the same in many cells: a part of the time shows what the machine does now. */
const SHARES = { float: 1 / 4, quantized: 1 } as const;

/**
 * Latency of one image on one thread, for a float model and its quantized form in alternation.
 *
 * @param shape [channels, height, width]
 */
export async function measureLatency(
  models: Readonly<Record<"float" | "quantized", Uint8Array>>,
  { shape, kernels }: { readonly shape: readonly number[]; readonly kernels: Kernels },
): Promise<{ float: Latency; quantized: Latency }> {
  const size = shape.reduce((a, b) => a * b, 1);
  const image = new ort.Tensor("float32", new Float32Array(size).fill(0.5), [1, ...shape]);
  const sessions = {
    float: await loadModel(models.float, kernels),
    quantized: await loadModel(models.quantized, kernels),
  };
  const samples: Record<keyof typeof sessions, number[]> = { float: [], quantized: [] };
  try {
    for (let round = 0; round < ROUNDS; round++)
      for (const name of ["float", "quantized"] as const) {
        const bench = new Bench({
          time: (SHARES[name] * MEASURE_MS) / ROUNDS,
          warmupTime: (SHARES[name] * WARM_UP_MS) / ROUNDS,
          retainSamples: true,
          throws: true,
        });
        bench.add(name, async () => {
          await infer(sessions[name], image);
        });
        await bench.run();
        const result = bench.getTask(name)?.result;
        if (result?.state !== "completed")
          throw new Error(`the latency of the ${name} model was not measured`);
        samples[name].push(...(result.latency.samples ?? []));
      }
  } finally {
    await sessions.float.release();
    await sessions.quantized.release();
  }
  return { float: summarize(samples.float), quantized: summarize(samples.quantized) };
}

/** Median, spread and quantiles of times in milliseconds. */
export function summarize(samples: readonly number[]): Latency {
  const medianMs = median(samples);
  return {
    medianMs,
    madMs: median(samples.map((sample) => Math.abs(sample - medianMs))),
    quantilesMs: [0.05, 0.25, 0.5, 0.75, 0.95].map((share) => quantile(samples, share)),
    samples: samples.length,
  };
}

const median = (values: readonly number[]): number => quantile(values, 0.5);

/** The value that so large a share of all is at or below, between two where it falls between. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const [low = NaN, high = NaN] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return low + (high - low) * (place - Math.floor(place));
}
