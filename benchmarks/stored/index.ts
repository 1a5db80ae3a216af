// Finished runs: reads them again, renders their report, verifies their cells bit by bit. A newcomer
// adds what can be asked of a run that is over.
export { type Merged, mergeRuns } from "./mergeRuns.js";
export { type LiveReport, serveReport } from "./serve.js";
export { contextFor, findCell } from "./storedCell.js";
export { readStoredRun, writeReport } from "./storedRun.js";
export { verify } from "./verify.js";
