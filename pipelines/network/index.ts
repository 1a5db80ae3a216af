// The network on its way: shapes and parameters of the graph, its rewrites, where quantizers sit and how
// they act, and the one interpreter (forward) that trains, calibrates and evaluates. A newcomer adds
// operations that stay in float (float/) and rewrites; what a node is stands in algorithms/network.ts.
export { existing } from "../../algorithms/existing.js";
export { BATCH_NORM_EPSILON, normalizeByBatch } from "./batchNorm.js";
export { channelGroups } from "./channelGroups.js";
export { costOfNetwork, layerWork } from "./cost.js";
export { describeSite, unquantizedTensors } from "./coverage.js";
export { equalize } from "./equalize.js";
export { featureShapes, outputShape } from "./featureShapes.js";
export { adderTaps } from "./float/adder.js";
export { definitionOf } from "./float/index.js";
export { foldBatchNorm, mergeParameters } from "./foldBatchNorm.js";
export { forward } from "./forward.js";
export type { ForwardOptions } from "./pass.js";
export { consumersOf, findNode, hasNode, inputsOf, isLayer, withInputs } from "./graph.js";
export { multiplications, parameterSpecs } from "./parameterSpecs.js";
export { inheritParameters, initialParameters } from "./parameters.js";
export { type NodeValues, inputName, mapBatches, runPart, valuesOfNode } from "./parts.js";
export { type QuantizedNetwork, placeQuantizers, resolveScheme } from "./placeQuantizers.js";
export {
  asDeployed,
  finished,
  quantizeWith,
  quantizerOf,
  tensorOf,
  toHost,
  uniformGrid,
  unquantized,
  valueName,
  valuesOf,
} from "./quantizers.js";
export { idleQuantizers } from "./idleQuantizers.js";
export { leftInFloat } from "./leftInFloat.js";
export { RowStorage, rowsOf, type Rows, type StoredRows } from "./rows.js";
export { type Unit, blockUnits, layerUnits, unitBetween } from "./units.js";
export { withOperators } from "./withOperators.js";
export { withFilters } from "./withFilters.js";
export { type Window, windowOf, windowOutput } from "./window.js";
