// From a matrix file to a list of cells: reads and checks the matrix, multiplies it out, gives each cell
// its identity and its parts, says what is unsupported and what it all will cost. Nothing is computed
// here. A newcomer adds options of matrices, which are part of a cell's identity.
export { type CellParts, buildCell, buildFloatNetwork } from "./cellParts.js";
export {
  type Matrix,
  loadMatrix,
  parseMatrix,
  presetNames,
  publishedAccuracies,
} from "./matrix.js";
export { ownRecipe } from "./ownRecipe.js";
export { identifyAlgorithm } from "./identity.js";
export { mostInformativeFirst } from "./informative.js";
export { SECONDS_PER_COST, pretrainCost } from "./costs.js";
export { cellsOfShard, type Shard } from "./shard.js";
export { withTried } from "./tried.js";
export { type Cell, planCell, planCells } from "./plan.js";
