// The frozen network in the forms that runtimes and toolchains read: ONNX with QuantizeLinear, QLinear
// operators, integer graphs, TensorFlow Lite, and files beside them (artefacts/). A newcomer adds an
// artefact, or a form with its writer; what a form cannot hold is a NoForm that says why.
export { artefactFormats, writeArtefact } from "./artefacts/index.js";
export { NoForm, type RuntimeModel, type WriteOptions } from "./form.js";
export { exportIntegers } from "./integers/exportIntegers.js";
export { exposedName } from "./names.js";
export { exportOnnx } from "./onnx/exportOnnx.js";
export { decodePlanes, encodePlanes } from "./planes.js";
export { exportQLinear } from "./qlinear/exportQLinear.js";
export { exportTflite } from "./tflite/exportTflite.js";
export { readTflite } from "./tflite/readTflite.js";
