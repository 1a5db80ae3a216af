import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { isCodebook } from "../../freeze/index.js";
import { exportOnnx } from "../onnx/exportOnnx.js";
import { fileOf, type ArtefactFormat } from "./artefact.js";
import { constantsOf } from "./readOnnx.js";

/** ONNX with OpenVINO's FakeQuantize in the place of each quantizer, float weights behind it. */
export const openvino: ArtefactFormat = {
  name: "openvino",
  title: "ONNX with OpenVINO FakeQuantize",
  source: {
    title: "OpenVINO FakeQuantize-1; its ONNX frontend reads domain org.openvinotoolkit",
    url: "https://docs.openvino.ai/2025/documentation/openvino-ir-format/operation-sets/operation-specs/quantization/fake-quantize-1.html",
  },
  backends: ["openvino"],
  keys: "site",
  unsupported: (_, levels) => (isCodebook(levels) ? "its levels are not uniform" : undefined),
  write: (frozen, name) =>
    new Map([[`${name}.openvino.onnx`, exportOnnx(frozen, name, { quantizers: "fakeQuantize" })]]),
  read(files) {
    const { graph } = fromBinary(ModelProtoSchema, fileOf(files, ".openvino.onnx"));
    const constants = constantsOf(graph?.initializer ?? []);
    return new Map(
      (graph?.node ?? [])
        .filter(({ opType }) => opType === "FakeQuantize")
        .map(({ input, output, attribute }) => [
          output[0] ?? "",
          {
            low: constants.get(input[3] ?? "")?.values ?? [],
            high: constants.get(input[4] ?? "")?.values ?? [],
            levels: Number(attribute.find(({ name }) => name === "levels")?.i ?? 0),
          },
        ]),
    );
  },
};
