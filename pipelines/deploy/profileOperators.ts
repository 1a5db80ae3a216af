import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import * as ort from "../onnxruntime.js";
import { ModelProtoSchema } from "onnx-buf";
import { z } from "zod";
import { infer } from "./inference.js";
import { sessionOptions, type Kernels } from "../session.js";

/** What a runtime made of a model, by kind of operator. */
export interface OperatorProfile {
  /** How often it is in the optimized graph. */
  readonly count: number;
  /** For one image, on one thread. */
  readonly microseconds: number;
}

const OPTIMIZED = "optimized.onnx";
/** Inferences that are timed, after some that warm up. */
const PROFILED_RUNS = 60;
const WARM_UP_RUNS = 20;

const profileEvent = z.object({
  cat: z.string(),
  name: z.string(),
  dur: z.number(),
  args: z.object({ op_name: z.string().optional() }).optional(),
});
/** What onnxruntime appends to the name of a node in an event. */
const EVENT_ENDING = "_kernel_time";

/**
 * Operators of the graph that onnxruntime makes of a model: shows what runs in integers
 * (QLinearConv, ...), what does not, and what the time goes to. Convolutions are told apart by
 * their windows: "Conv 3x3 in groups".
 *
 * @param shape [channels, height, width]
 */
export async function profileOperators(
  model: Uint8Array,
  { shape, kernels }: { readonly shape: readonly number[]; readonly kernels: Kernels },
): Promise<Record<string, OperatorProfile>> {
  const directory = await mkdtemp(join(os.tmpdir(), "quantbench-profile-"));
  const session = await ort.InferenceSession.create(model, {
    ...sessionOptions(kernels),
    enableProfiling: true,
    profileFilePrefix: join(directory, "run"),
    optimizedModelFilePath: join(directory, OPTIMIZED),
  });
  try {
    const size = shape.reduce((a, b) => a * b, 1);
    const image = new ort.Tensor("float32", new Float32Array(size).fill(0.5), [1, ...shape]);
    for (let run = 0; run < WARM_UP_RUNS + PROFILED_RUNS; run++) await infer(session, image);
    session.endProfiling();
    const file = (await readdir(directory)).find((name) => name !== OPTIMIZED) ?? "";
    const kinds = windowsOf(await readFile(join(directory, OPTIMIZED)));
    const events = z
      .array(z.unknown())
      .parse(JSON.parse(await readFile(join(directory, file), "utf8")));
    const nodes = events
      .map((event) => profileEvent.safeParse(event).data)
      .filter((event) => event?.cat === "Node" && event.args?.op_name !== undefined);
    const perRun = nodes.length / (WARM_UP_RUNS + PROFILED_RUNS);
    const totals = new Map<string, { events: number; microseconds: number }>();
    for (const event of nodes.slice(Math.round(perRun * WARM_UP_RUNS))) {
      if (event === undefined) continue;
      const window = kinds.get(event.name.replace(EVENT_ENDING, ""));
      const name = [event.args?.op_name, window].filter(Boolean).join(" ");
      const known = totals.get(name) ?? { events: 0, microseconds: 0 };
      totals.set(name, {
        events: known.events + 1,
        microseconds: known.microseconds + event.dur,
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

/** "3x3" or "3x3 in groups" for each convolution of a model, by the name of its node. */
function windowsOf(model: Uint8Array): ReadonlyMap<string, string> {
  const { graph } = fromBinary(ModelProtoSchema, model);
  return new Map(
    (graph?.node ?? []).flatMap(({ name, attribute }) => {
      const numbers = (key: string) => attribute.find((entry) => entry.name === key);
      const window = numbers("kernel_shape")?.ints.join("x");
      if (window === undefined || window === "") return [];
      const groups = Number(numbers("group")?.i ?? 1);
      return [[name, groups > 1 ? `${window} in groups` : window] as const];
    }),
  );
}
