// From the files of others to our network: reads ONNX, and TensorFlow Lite by way of it (tflite/), checks it, folds what is constant. A newcomer
// adds operators, one entry each in operators/, with a model built by hand in the test. Whatever is
// read may be damaged or hostile: sizes and names are checked before use.
export {
  type Ending,
  type ImportedInput,
  type ImportedNetwork,
  type ImportOptions,
  importOnnx,
} from "./importOnnx.js";
export { importTflite } from "./tflite/importTflite.js";
export { isTflite, withFixedShapes } from "./tflite/readTflite.js";
export { floatToHalf, halfToFloat, type ReadExternal } from "./tensor.js";
