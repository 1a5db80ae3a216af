import { z } from "zod";
import { MQBENCH_TOOLKIT } from "../../../backends/backend.js";
import { encodingOf, isCodebook, levelsOf } from "../../freeze/index.js";
import { encodeText, tensorOf, textOf, type ArtefactFormat } from "./artefact.js";
import { floatModel } from "./floatForm.js";

/** TensorRT's calibrated range stands for this many steps on each side. */
const STEPS = 127;

const schema = z.strictObject({
  tensorrt: z.strictObject({ blob_range: z.record(z.string(), z.number().positive()) }),
  /** Scales of weights, which TensorRT takes from the weights themselves. */
  weights: z.record(z.string(), z.array(z.number().positive())),
});

/** A float model and the dynamic range of each activation, for `ITensor.setDynamicRange`. */
export const tensorrt: ArtefactFormat = {
  name: "tensorrt",
  title: "TensorRT dynamic ranges",
  source: MQBENCH_TOOLKIT,
  backends: ["tensorrt"],
  keys: "tensor",
  unsupported({ scheme: { bitWidth, symmetric, signed, narrowRange } }, levels) {
    if (isCodebook(levels)) return "its levels are not uniform";
    if (bitWidth !== 8)
      return `a dynamic range stands for 8 bits, and this has ${String(bitWidth)}`;
    if (!symmetric || !signed) return "dynamic ranges are symmetric and signed";
    return narrowRange ? "its lowest integer is dropped, which a range does not tell" : undefined;
  },
  write(frozen, name) {
    const ranges: Record<string, number> = {};
    const weights: Record<string, number[]> = {};
    for (const site of frozen.sites) {
      const { high } = encodingOf(site, levelsOf(frozen, site));
      if (site.role === "weight")
        weights[tensorOf(frozen, site)] = high.map((value) => value / STEPS);
      else ranges[tensorOf(frozen, site)] = high[0] ?? NaN;
    }
    const table = { tensorrt: { blob_range: ranges }, weights };
    return new Map([
      [`${name}.float.onnx`, floatModel(frozen, name)],
      [`${name}.tensorrt.json`, encodeText(`${JSON.stringify(table, null, 2)}\n`)],
    ]);
  },
  read(files) {
    const { tensorrt: ranges, weights } = schema.parse(JSON.parse(textOf(files, ".tensorrt.json")));
    const encoding = (scales: readonly number[]) => ({
      low: scales.map((scale) => -128 * scale),
      high: scales.map((scale) => STEPS * scale),
      levels: 256,
    });
    return new Map([
      ...Object.entries(ranges.blob_range).map(
        ([tensor, range]) => [tensor, encoding([range / STEPS])] as const,
      ),
      ...Object.entries(weights).map(([tensor, scales]) => [tensor, encoding(scales)] as const),
    ]);
  },
};
