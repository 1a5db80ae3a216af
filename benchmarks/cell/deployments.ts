import type { BackendProfile } from "../../backends/backend.js";
import {
  accuracyOf,
  agreementOf,
  changedCount,
  correctOf,
  type Dataset,
  type ImageProgress,
  type Logits,
} from "../../pipelines/train/index.js";
import type { FrozenNetwork } from "../../pipelines/freeze/index.js";
import {
  FIRST_RUNTIME,
  probeSaturation,
  processorFeatures,
  RUNTIME_BATCH,
  runtimesOf,
} from "../../pipelines/deploy/index.js";
import { engineVersions } from "../../pipelines/engine/index.js";
import { NoForm } from "../../pipelines/export/index.js";
import type { Deployment } from "../../results/deploymentSchema.js";
import { deviceRuntime } from "../../results/device.js";
import type { RuntimeResult } from "../../results/runtimeSchema.js";
import type { MeasuredRuntime } from "../../results/schema.js";
import { execute } from "./executions.js";

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
    readonly onRuntime: (title: string, progress?: ImageProgress) => void;
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
    const write = (called: string, batch: number) =>
      runtime.write(network, { name: called, batch, arithmetic });
    try {
      const model = write(name, RUNTIME_BATCH);
      const { logits, ...execution } = await execute(runtime, (batch) => write("network", batch), {
        dataset,
        onImages: (progress) => {
          onRuntime(runtime.title, progress);
        },
      });
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
      measured[runtimeName] = execution.measured;
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

function equalShare(a: Logits, b: Logits): number {
  return a.reduce((count, value, i) => count + (value === b[i] ? 1 : 0), 0) / a.length;
}
