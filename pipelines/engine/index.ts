// How tensors are computed: engines that run steps written in TensorFlow.js operations, the lowerings that
// make them fast, named streams of random numbers, and tensors in files. A newcomer adds an engine (one
// contract, one conformance suite) or a faster form of one operator; bits depend on both.
import * as tf from "#tf";
import { eagerEngine } from "./eager.js";
import {
  ENGINE_NAMES,
  type Engine,
  type EngineName,
  type Signature,
  type StepFunction,
} from "./engine.js";
import { checkByTinyStep } from "./tinyStep.js";
import { STANDARD, type LoweringChoice } from "./trace/lowering.js";

export * from "./engine.js";
export { adderDistances, adderInputGradient } from "./adderLayer.js";
export { engineVersions } from "./packages.js";
export { choiceOf, LOWERING_CHOICES, type LoweringChoice } from "./trace/lowering.js";
export { type RandomStream, permutation, randomStream, resumedStream } from "./random.js";
export { decodeSafetensors, encodeSafetensors } from "./safetensors.js";

/** What a step computes, as a hash for each of its outputs; see `describeStep.ts`. */
export async function describeStep(
  step: StepFunction,
  signature: Signature,
): Promise<Readonly<Record<string, string>>> {
  return (await import("./trace/index.js")).describeStep(step, signature);
}

/** Names of the tfjs kernels that steps may use on onnxruntime. */
export async function recordableKernels(): Promise<string[]> {
  return (await import("./trace/index.js")).recordableKernels();
}

// tfjs otherwise advises every user of its plain backend to install tfjs-node.
tf.enableProdMode();

/**
 * Loads an engine; "auto" takes the default, onnxruntime. Bits depend on the engine, so "auto"
 * never falls back to another one silently.
 *
 * @param lowering how onnxruntime's graphs are made; the other engines have no choice
 * @param threads of onnxruntime, which do not change bits
 * @throws Error saying why when the engine's package is missing or does not load
 */
export async function loadEngine(
  name: EngineName | "auto",
  lowering: LoweringChoice = "auto",
  threads = 1,
): Promise<Engine> {
  if (name !== "auto" && name !== "onnxruntime" && lowering !== "auto") {
    throw new Error(
      `engine "${name}" has no lowerings to choose from; leave out "${lowering}", or take --engine onnxruntime`,
    );
  }
  switch (name) {
    case "auto":
    case "onnxruntime": {
      const [{ onnxruntimeEngine }, { probeBlocked }] = await Promise.all([
        import("./onnxruntime.js"),
        import("./probe.js"),
      ]);
      const blocked = lowering === "standard" ? undefined : await probeBlocked();
      if (blocked === undefined && lowering === "blocked") {
        throw new Error(
          "this onnxruntime has no blocked convolutions that work on this processor; take the standard lowering",
        );
      }
      const form = blocked ? ({ name: "blocked", ...blocked } as const) : STANDARD;
      return onnxruntimeEngine(form, threads);
    }
    case "portable":
      return (await import("./portable/index.js")).portableEngine();
    case "tfjs":
      await tf.setBackend("cpu");
      return eagerEngine("tfjs", "cpu", tf.version_core);
    case "tfjs-node":
      return (await import("./tensorflow/index.js")).tensorflowEngine();
    default:
      return name satisfies never;
  }
}

export type EngineReport =
  | { readonly name: EngineName; readonly available: true; readonly version: string }
  | { readonly name: EngineName; readonly available: false; readonly reason: string };

/** Every engine that works here but tfjs, onnxruntime with each of its lowerings. */
export async function nativeEngines(): Promise<Engine[]> {
  const engines: Engine[] = [];
  for (const { name, available } of await inspectEngines()) {
    if (!available || name === "tfjs") continue;
    const lowerings = name === "onnxruntime" ? (["auto", "standard"] as const) : ["auto" as const];
    for (const lowering of lowerings) engines.push(await loadEngine(name, lowering));
  }
  // Where there are no blocked convolutions, both lowerings are one.
  return [...new Map(engines.map((one) => [`${one.name} ${one.lowering ?? ""}`, one])).values()];
}

/** Tries to train on every engine and says which do and why the others do not. */
export async function inspectEngines(): Promise<EngineReport[]> {
  const reports: EngineReport[] = [];
  for (const name of ENGINE_NAMES) {
    try {
      const engine = await loadEngine(name);
      await checkByTinyStep(engine);
      reports.push({ name, available: true, version: engine.version });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const [reason = message] = message.split(/\n| imported from /);
      reports.push({ name, available: false, reason });
    }
  }
  return reports;
}
