import * as ort from "../../onnxruntime.js";
import { infer, loadModel } from "../inference.js";
import type { Times } from "./fastestForm.js";

/** How long is measured: rounds, and milliseconds of one model in one round. */
export interface Turns {
  readonly rounds: number;
  readonly milliseconds: number;
}
const USUAL: Turns = { rounds: 9, milliseconds: 25 };
const FEWEST = 3;
/** The fastest twentieth: what else a machine does only ever adds time. */
const QUANTILE = 0.05;

/**
 * Times models by turns, one image at a time on one thread, so that a busy moment hits all: the fastest twentieth of
 * each round. The first round warms up and does not count.
 *
 * @param shape [channels, height, width]
 */
export async function timeByTurns(
  models: readonly Uint8Array[],
  shape: readonly number[],
  { rounds, milliseconds }: Turns = USUAL,
): Promise<readonly Times[]> {
  const size = shape.reduce((product, extent) => product * extent, 1);
  const image = new ort.Tensor("float32", new Float32Array(size).fill(0.5), [1, ...shape]);
  const timed = new Map<Uint8Array, { session: ort.InferenceSession; times: number[] }>();
  try {
    for (const model of new Set(models))
      timed.set(model, { session: await loadModel(model, "shipped"), times: [] });
    for (let round = 0; round <= rounds; round++)
      for (const { session, times } of timed.values()) {
        const fastest = await fastestTwentieth(() => infer(session, image), milliseconds);
        if (round > 0) times.push(fastest);
      }
    return models.map((model) => timed.get(model)?.times ?? []);
  } finally {
    for (const { session } of timed.values()) await session.release();
  }
}

async function fastestTwentieth(
  run: () => Promise<unknown>,
  milliseconds: number,
): Promise<number> {
  const samples: number[] = [];
  const start = performance.now();
  while (samples.length < FEWEST || performance.now() - start < milliseconds) {
    const before = performance.now();
    await run();
    samples.push(performance.now() - before);
  }
  samples.sort((a, b) => a - b);
  return samples[Math.floor(QUANTILE * samples.length)] ?? NaN;
}
