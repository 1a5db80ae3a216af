import { z } from "zod";
import { MQBENCH_TOOLKIT } from "../../../backends/backend.js";
import { encodingOf, isCodebook, levelsOf } from "../../freeze/index.js";
import { encodeText, tensorOf, textOf, type ArtefactFormat } from "./artefact.js";
import { floatModel } from "./floatForm.js";

const schema = z.strictObject({
  vitis: z.record(
    z.string(),
    z.strictObject({
      scale: z.number().positive(),
      bit: z.number().int(),
      fix_point: z.number().int(),
    }),
  ),
});

/** A float model and the fixed-point position of every tensor: scales are powers of two. */
export const vitis: ArtefactFormat = {
  name: "vitis",
  title: "Vitis AI fixed-point table",
  source: MQBENCH_TOOLKIT,
  backends: ["vitis"],
  keys: "tensor",
  unsupported({ scheme }, levels) {
    const { symmetric, signed, scaleForm, granularity, narrowRange } = scheme;
    if (isCodebook(levels)) return "its levels are not uniform";
    if (scaleForm !== "powerOfTwo") return "its scale is not a power of two";
    if (!symmetric || !signed || narrowRange)
      return "the table is for whole symmetric signed ranges";
    return granularity === "perChannel" ? "the table has one scale for each tensor" : undefined;
  },
  write(frozen, name) {
    const table = Object.fromEntries(
      frozen.sites.map((site) => {
        const { low, levels } = encodingOf(site, levelsOf(frozen, site));
        const scale = -(low[0] ?? NaN) / (levels / 2);
        const entry = { scale, bit: Math.log2(levels), fix_point: -Math.log2(scale) };
        return [tensorOf(frozen, site), entry];
      }),
    );
    return new Map([
      [`${name}.float.onnx`, floatModel(frozen, name)],
      [`${name}.vitis.json`, encodeText(`${JSON.stringify({ vitis: table }, null, 2)}\n`)],
    ]);
  },
  read: (files) =>
    new Map(
      Object.entries(schema.parse(JSON.parse(textOf(files, ".vitis.json"))).vitis).map(
        ([tensor, { fix_point: position, bit }]) => {
          const half = 2 ** (bit - 1);
          const scale = 2 ** -position;
          return [tensor, { low: [-half * scale], high: [(half - 1) * scale], levels: 2 * half }];
        },
      ),
    ),
};
