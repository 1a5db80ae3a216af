import { availableParallelism } from "node:os";
import util from "node:util";
import * as tf from "#tf";
import type { Engine } from "../engine.js";
import { installedPackage } from "../packages.js";
import type { TensorFlowBackend } from "./backend.js";
import { registerKernels } from "./kernels.js";
import { replayedStep } from "./replay.js";

/** What TensorFlow reads when it is loaded; whoever sets these decides. */
const SETTINGS = {
  // Sums are cut by threads, so that their number decides bits; processes run side by side.
  TF_NUM_INTRAOP_THREADS: "1",
  TF_NUM_INTEROP_THREADS: "1",
  // By default on where a processor seems to gain by it. It computes other bits.
  TF_ENABLE_ONEDNN_OPTS: "1",
  TF_CPP_MIN_LOG_LEVEL: "1", // nothing below warnings
} as const;

let loading: Promise<Engine> | undefined;

/**
 * Runs steps operator by operator on TensorFlow, through tfjs-node.
 *
 * @throws Error saying why when the package is missing or does not load
 */
export function tensorflowEngine(): Promise<Engine> {
  loading ??= load();
  return loading;
}

async function load(): Promise<Engine> {
  for (const [name, value] of Object.entries(SETTINGS)) process.env[name] ??= value;
  restoreRemovedFunctions();
  const { version } = await importInstalled();
  await tf.setBackend("tensorflow");
  const { binding, isUsingGpuDevice } = tf.backend() as unknown as TensorFlowBackend;
  registerKernels();
  const bits = [
    version["tfjs-node"] ?? "unknown",
    `TensorFlow ${binding.TF_Version}`,
    isUsingGpuDevice ? "GPU" : threads(),
    ...(process.env["TF_ENABLE_ONEDNN_OPTS"] === "1" ? ["oneDNN"] : []),
  ];
  return { name: "tfjs-node", version: bits.join(", "), compile: replayedStep };
}

async function importInstalled(): Promise<{ readonly version: Record<string, string> }> {
  const installed = installedPackage("tfjs-node");
  if (installed === undefined)
    throw new Error(
      "Cannot find package '@tensorflow/tfjs-node'; in a checkout \"npm run tfjs-node\" builds it",
    );
  return (await import(installed.name)) as { version: Record<string, string> };
}

/** 0 means one for each core. */
function threads(): string {
  const count = Number(process.env["TF_NUM_INTRAOP_THREADS"]) || availableParallelism();
  return `${String(count)} ${count === 1 ? "thread" : "threads"}`;
}

/** tfjs-node calls functions that Node 23 removed. */
function restoreRemovedFunctions(): void {
  const functions = util as unknown as Record<string, unknown>;
  functions["isArray"] ??= Array.isArray;
  functions["isNullOrUndefined"] ??= (value: unknown) => value === null || value === undefined;
}
