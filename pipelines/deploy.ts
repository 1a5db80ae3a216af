import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { z } from "zod";
import { IMAGE_INPUT, LOGITS_OUTPUT, SESSION_OPTIONS } from "./onnx/session.js";

/** Loads an exported model into the real runtime, as a deployed program would: one thread. */
export function loadModel(model: Uint8Array): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(model, SESSION_OPTIONS);
}

/** One inference of a loaded model. */
export async function infer(
  session: ort.InferenceSession,
  images: ort.Tensor,
): Promise<Float32Array> {
  const outputs = await session.run({ [IMAGE_INPUT]: images });
  const data = outputs[LOGITS_OUTPUT]?.data;
  if (!(data instanceof Float32Array)) throw new TypeError("the model gave no float logits");
  return data;
}

/** What a runtime made of a model, by kind of operator. */
export interface OperatorProfile {
  /** How often it is in the optimized graph. */
  readonly count: number;
  /** For one image, on one thread. */
  readonly microseconds: number;
}

/** Inferences that are timed, after some that warm up. */
const PROFILED_RUNS = 60;
const WARM_UP_RUNS = 20;

const profileEvent = z.object({
  cat: z.string(),
  dur: z.number(),
  args: z.object({ op_name: z.string().optional() }).optional(),
});

/**
 * Operators of the graph that onnxruntime makes of a model: shows what runs in integers
 * (QLinearConv, ...), what does not, and what the time goes to.
 *
 * @param shape [channels, height, width]
 */
export async function profileOperators(
  model: Uint8Array,
  shape: readonly number[],
): Promise<Record<string, OperatorProfile>> {
  const directory = await mkdtemp(join(os.tmpdir(), "quantbench-profile-"));
  const session = await ort.InferenceSession.create(model, {
    ...SESSION_OPTIONS,
    enableProfiling: true,
    profileFilePrefix: join(directory, "run"),
  });
  try {
    const size = shape.reduce((a, b) => a * b, 1);
    const image = new ort.Tensor("float32", new Float32Array(size).fill(0.5), [1, ...shape]);
    for (let run = 0; run < WARM_UP_RUNS + PROFILED_RUNS; run++) await infer(session, image);
    session.endProfiling();
    const [file = ""] = await readdir(directory);
    const events = z
      .array(z.unknown())
      .parse(JSON.parse(await readFile(join(directory, file), "utf8")));
    const nodes = events
      .map((event) => profileEvent.safeParse(event).data)
      .filter((event) => event?.cat === "Node" && event.args?.op_name !== undefined);
    const perRun = nodes.length / (WARM_UP_RUNS + PROFILED_RUNS);
    const totals = new Map<string, { events: number; microseconds: number }>();
    for (const event of nodes.slice(Math.round(perRun * WARM_UP_RUNS))) {
      const name = event?.args?.op_name ?? "";
      const known = totals.get(name) ?? { events: 0, microseconds: 0 };
      totals.set(name, {
        events: known.events + 1,
        microseconds: known.microseconds + (event?.dur ?? 0),
      });
    }
    return Object.fromEntries(
      [...totals]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, { events: found, microseconds }]) => [
          name,
          {
            count: Math.round(found / PROFILED_RUNS),
            microseconds: Number((microseconds / PROFILED_RUNS).toPrecision(4)),
          },
        ]),
    );
  } finally {
    await session.release();
    await rm(directory, { recursive: true, force: true });
  }
}
