import type { BackendProfile } from "../../backends/backend.js";
import {
  accuracyOf,
  agreementOf,
  changedCount,
  correctOf,
  type Dataset,
  type Logits,
} from "../../pipelines/train/index.js";
import type { FrozenNetwork } from "../../pipelines/freeze/index.js";
import {
  FIRST_RUNTIME,
  probeSaturation,
  processorFeatures,
  runOn,
  type Runtime,
  type Saturation,
  REFERENCE_RUNTIME,
  RUNTIME_BATCH,
  runtimesOf,
  timeOn,
  WAYS_AROUND_SATURATION,
} from "../../pipelines/deploy/index.js";
import { engineVersions } from "../../pipelines/engine/index.js";
import { NoForm, type RuntimeModel } from "../../pipelines/export/index.js";
import type { Deployment } from "../../results/deploymentSchema.js";
import { deviceRuntime } from "../../results/device.js";
import type { RuntimeResult } from "../../results/runtimeSchema.js";
import type { MeasuredRuntime } from "../../results/schema.js";
import { summarize } from "./latency.js";

const TIMED_MS = 150;

export interface Deployments {
  /** Logits of the first runtime. */
  readonly logits: Logits;
  /** Of each test image, whether it is right on what computes most nearly as the device does. */
  readonly correct: readonly boolean[];
  readonly results: Readonly<Record<string, RuntimeResult>>;
  readonly deployment: Deployment;
  readonly measured: Readonly<Record<string, MeasuredRuntime>>;
}

/**
 * Executes a network on every runtime that has its backend's arithmetic, on the whole test set,
 * each in a process of its own.
 *
 * @param forms the network as it is exported, and before channels were grouped by width
 * @throws Error when it fails on the first runtime; what fails on others is part of the result
 */
export async function deploy(
  forms: { readonly exported: FrozenNetwork; readonly plain: FrozenNetwork },
  options: {
    readonly name: string;
    readonly backend: BackendProfile;
    readonly dataset: Dataset;
    readonly simulated: Logits;
    readonly onRuntime: (title: string) => void;
  },
): Promise<Deployments> {
  const { name, backend, dataset, simulated, onRuntime } = options;
  const { arithmetic } = backend;
  const results: Record<string, RuntimeResult> = {};
  const measured: Record<string, MeasuredRuntime> = {};
  const correct: Record<string, boolean[]> = {};
  const saturation = await probeSaturation();
  let first: Logits | undefined;
  let precise: Logits | undefined;
  for (const runtime of runtimesOf(backend)) {
    const { name: runtimeName } = runtime;
    onRuntime(runtime.title);
    const network = runtime.takesGroups ? forms.exported : forms.plain;
    const write = (batch: number) => runtime.write(network, { name, batch, arithmetic });
    try {
      const model = write(RUNTIME_BATCH);
      const { logits, imagesPerSecond, peakBytes } = await runOn(runtime, model, dataset);
      first ??= logits;
      if (model.kernels !== undefined && model.kernels !== "shipped") precise ??= logits;
      correct[runtimeName] = correctOf(logits, dataset);
      results[runtimeName] = {
        accuracy: accuracyOf(logits, dataset),
        agreement: agreementOf(simulated, logits, dataset.classes),
        equalLogits: equalShare(logits, first),
        modelBytes: model.bytes.length,
        ...(model.operators && { operators: { ...model.operators } }),
      };
      const latency = isTimed(runtime, saturation)
        ? await latencyOn(runtime, write(1), dataset)
        : undefined;
      measured[runtimeName] = { imagesPerSecond, peakBytes, ...(latency && { latency }) };
    } catch (error) {
      if (first === undefined) throw error;
      const { message } = error as Error;
      results[runtimeName] =
        error instanceof NoForm ? { unsupported: message } : { failed: message };
    }
  }
  if (first === undefined) throw new Error(`${name} was not deployed`);
  const device = deviceRuntime(backend.name, results);
  const changedFrom = (a: Logits, b: Logits) => changedCount(a, b, dataset.classes);
  const deployment: Deployment = {
    runtime: `${FIRST_RUNTIME} ${engineVersions()[FIRST_RUNTIME] ?? "unknown"}`,
    instructionSet: [process.arch, ...processorFeatures()].join(" "),
    kernels: first === precise ? "precise" : "shipped",
    saturates: saturation.saturates,
    ...(precise && {
      changed: {
        byRounding: changedFrom(simulated, precise),
        byKernels: changedFrom(precise, first),
      },
    }),
  };
  return { logits: first, correct: correct[device] ?? [], results, deployment, measured };
}

/**
 * The first runtime is timed beside the float network, elsewhere; the reference is not; and what
 * avoids saturation is where there is any, to say what that costs.
 */
const isTimed = ({ name }: Runtime, { saturates }: Saturation): boolean =>
  name !== FIRST_RUNTIME &&
  name !== REFERENCE_RUNTIME &&
  (saturates || !WAYS_AROUND_SATURATION.includes(name));

async function latencyOn(
  runtime: Runtime,
  single: RuntimeModel,
  { shape: [height = 1, width = 1, channels = 1] }: Dataset,
) {
  const shape = [channels, height, width];
  return summarize(await timeOn(runtime, single, { shape, milliseconds: TIMED_MS }));
}

function equalShare(a: Logits, b: Logits): number {
  return a.reduce((count, value, i) => count + (value === b[i] ? 1 : 0), 0) / a.length;
}
