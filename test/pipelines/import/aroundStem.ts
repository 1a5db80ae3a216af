// A small network around what an exporter writes.
import { importOnnx } from "../../../pipelines/import/index.js";
import { noFiles, values } from "./beside.js";
import { floats, modelByHand, type HandModel, type HandNode } from "./modelByHand.js";

export const node = (
  op: string,
  inputs: readonly string[],
  output: string,
  attributes: HandNode["attributes"] = {},
): HandNode => ({ op, inputs, outputs: [output], attributes });

const STEM = node("Conv", ["x", "stem.w", "stem.b"], "stem", { pads: [1, 1, 1, 1] });
const stem = () => [floats("stem.w", [8, 3, 3, 3], values(216)), floats("stem.b", [8], values(8))];

/** A network whose middle turns "stem", 8 channels of 6 x 6, into "features". */
export const around = (
  opset: number,
  middle: readonly HandNode[],
  constants: HandModel["constants"] = [],
  channels = 8,
): HandModel => ({
  opset,
  input: ["batch", 3, 6, 6],
  nodes: [
    STEM,
    ...middle,
    node("GlobalAveragePool", ["features"], "pooled"),
    node("Flatten", ["pooled"], "flat"),
    node("Gemm", ["flat", "fc.w", "fc.b"], "y", { transB: 1 }),
  ],
  constants: [
    ...stem(),
    ...constants,
    floats("fc.w", [5, channels], values(5 * channels)),
    floats("fc.b", [5], values(5)),
  ],
});

/** The network of a model, whose images are of 6 x 6 pixels. */
export const read = (model: HandModel, output?: string) =>
  importOnnx(modelByHand(model), {
    ...{ imageShape: [6, 6, 3], readExternal: noFiles },
    ...(output !== undefined && { output }),
  });
