// Finished runs: reads them again, renders their report, verifies their cells bit by bit or on another engine. A newcomer
// adds what can be asked of a run that is over.
export { crossCheck, distanceOf, isTooFar, type CrossCheck } from "./crossCheck.js";
export { type Merged, mergeRuns } from "./mergeRuns.js";
export { type LiveReport, serveReport } from "./serve.js";
export { sensitivityOf, type SensitivityReport } from "./sensitivityOf.js";
export {
  keepsAccuracy,
  sensitivityPictureOf,
  sensitivityText,
  sensitivityVerdict,
} from "./sensitivityText.js";
export { contextFor, findCell } from "./storedCell.js";
export { packRun, readStoredRun, sensitivityFile, writeReport } from "./storedRun.js";
export { compare, reproducible, verify } from "./verify.js";
