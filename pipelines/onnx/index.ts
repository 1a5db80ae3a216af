// How ONNX files are written: a graph of operators and constants, as bytes. Training steps and exported
// networks are both written with it. A newcomer adds a type of elements here, and nothing about
// quantization: what networks look like in ONNX is told in export/.
export {
  type Attributes,
  type GraphNode,
  OnnxGraph,
  type OnnxType,
  attributeProto,
  dataTypeCode,
} from "./onnxGraph.js";
