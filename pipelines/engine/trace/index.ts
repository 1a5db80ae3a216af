// Importing this module registers the tracing backend with every kernel that it can record.
import "./elementwise.js";
import "./reductions.js";
import "./shapes.js";
import "./matMul.js";
import "./convolution.js";
import "./adder.js";

export { describeStep } from "./describeStep.js";
export { recordableKernels } from "./traceBackend.js";
export { outputName, recordProgram, trace, traced, type TracedStep } from "./trace.js";
