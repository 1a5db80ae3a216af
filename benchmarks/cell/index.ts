// What one cell does, stage by stage, from its float checkpoint to the result: training, export,
// deployment on all runtimes, latency. A newcomer adds a stage; what stages compute is in pipelines/.
export { type CellContext, frozenCell, pretrain, runCell, stageKeys } from "./cell.js";
