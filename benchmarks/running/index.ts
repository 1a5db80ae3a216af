// Many cells: jobs and what they wait for, worker processes, progress, the run directory and its lock.
// A run that is killed at any point loses no finished cell. A newcomer changes how work is spread; what
// a cell computes must not depend on it.
export { type JobFailure, runInChild } from "./child.js";
export { finished, send, serveJobs } from "./childProcess.js";
export { describeEnvironment, packageVersion } from "./environment.js";
export { executePlan, writeDescription } from "./execution.js";
export { contextOf, type JobInputs } from "./jobContext.js";
export {
  PROGRESS_MODES,
  ProgressDisplay,
  type ProgressEvent,
  type ProgressMode,
  duration,
} from "./progress.js";
export {
  CELL_PROPERTIES,
  DEFAULT_JOBS,
  type Plan,
  type RunOptions,
  estimateSeconds,
  filterCells,
  finishedCells,
  jobCost,
  makeJobs,
  makePlan,
} from "./run.js";
