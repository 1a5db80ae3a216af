// The exported network on real programs: runtimes in processes of their own, operators and their times,
// and where the first difference from the simulation is. A newcomer adds a runtime: a file in
// runtimes/, a loader, a line in the index.
export type { Behavior } from "./behavior.js";
export { type Divisible, type Judges, PartlyQuantized, type SiteBits } from "./partlyQuantized.js";
export { infer, loadModel } from "./inference.js";
export { type Inspection, inspectSites } from "./inspect.js";
export { preciseKernels } from "./preciseKernels.js";
export { processorFeatures } from "./processor.js";
export {
  type FastestForm,
  fastestForm,
  type Form,
  LEAST_AGREEMENT,
  timeByTurns,
  type Trials,
  type TriedForm,
} from "./tuning/index.js";
export { NetworkClock } from "./latency/networkClock.js";
export { probeSaturation, type Saturation } from "./saturation.js";
export { profileOperators } from "./profileOperators.js";
export {
  FIRST_RUNTIME,
  REFERENCE_RUNTIME,
  WAYS_AROUND_SATURATION,
  findRuntime,
  kernelsOf,
  runtimes,
  runtimesOf,
} from "./runtimes/index.js";
export type { Kernels } from "../session.js";
export { type ForeignModel, RUNTIME_BATCH, runOn, scoresOn, timeOn } from "./runtimes/runOn.js";
export type { Runtime } from "./runtimes/runtime.js";
