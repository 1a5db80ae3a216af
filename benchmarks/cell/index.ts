// What one cell does, as a list of named stages, each with what it needs and what it finds out: trainings,
// export, deployment on all runtimes, latency. A newcomer adds a stage to STAGES; what stages compute is
// in pipelines/.
export { frozenCell, runCell, servedPlanes, trainedCell } from "./cell.js";
export { fastestCell, type FastestCell } from "./fastest.js";
export { type CellContext, searchName, stageKeys } from "./context.js";
export { pretrain } from "./trainings.js";
export { type Checkpoint, storedCheckpoint, storedOnce, unfinishedNames } from "./checkpoint.js";
export { decodeState, encodeState, keptTraining } from "./keptTraining.js";
