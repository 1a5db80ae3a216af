import type { ArtefactFormat } from "./artefact.js";
import { nnie } from "./nnie.js";
import { onnx, onnxInt4 } from "./onnx.js";
import { openvino } from "./openvino.js";
import { ppl } from "./ppl.js";
import { qlinear } from "./qlinear.js";
import { snpe } from "./snpe.js";
import { tengine } from "./tengine.js";
import { tensorrt } from "./tensorrt.js";
import { tflite, tfliteInt4 } from "./tflite.js";
import { vitis } from "./vitis.js";

export { writeArtefact, type ArtefactFiles, type ArtefactFormat } from "./artefact.js";

/** Every form in which networks can be handed to a toolchain. */
export const artefactFormats: readonly ArtefactFormat[] = [
  onnx,
  onnxInt4,
  qlinear,
  tensorrt,
  snpe,
  openvino,
  ppl,
  vitis,
  nnie,
  tengine,
  tflite,
  tfliteInt4,
];
