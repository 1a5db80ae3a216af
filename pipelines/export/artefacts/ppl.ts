import { z } from "zod";
import { MQBENCH_TOOLKIT } from "../../../backends/backend.js";
import { encodingOf, isCodebook, levelsOf } from "../../freeze/index.js";
import { encodeText, tensorOf, textOf, type ArtefactFormat } from "./artefact.js";
import { floatModel } from "./floatForm.js";

const numbers = z.array(z.number());
const schema = z.strictObject({
  ppl: z.record(
    z.string(),
    z.strictObject({
      step: numbers,
      zero_point: numbers,
      min: numbers,
      max: numbers,
      bit: z.number().int(),
      type: z.enum(["biased", "symmetric"]),
    }),
  ),
});

/** A float model and PPL's table: step, zero point and range of every tensor, weights by channel. */
export const ppl: ArtefactFormat = {
  name: "ppl",
  title: "PPL table",
  source: MQBENCH_TOOLKIT,
  backends: ["pplW8A16", "pplCuda"],
  keys: "tensor",
  unsupported: ({ scheme: { narrowRange } }, levels) =>
    isCodebook(levels)
      ? "its levels are not uniform"
      : narrowRange
        ? "its number of levels is not a power of two"
        : undefined,
  write(frozen, name) {
    const table = Object.fromEntries(
      frozen.sites.map((site) => {
        const { low, high, levels } = encodingOf(site, levelsOf(frozen, site));
        const step = low.map((min, i) => ((high[i] ?? NaN) - min) / (levels - 1));
        return [
          tensorOf(frozen, site),
          {
            step,
            zero_point: low.map((min, i) => -Math.round(min / (step[i] ?? NaN))),
            ...{ min: low, max: high, bit: Math.log2(levels) },
            type: site.scheme.symmetric ? "symmetric" : "biased",
          },
        ];
      }),
    );
    return new Map([
      [`${name}.float.onnx`, floatModel(frozen, name)],
      [`${name}.ppl.json`, encodeText(`${JSON.stringify({ ppl: table }, null, 2)}\n`)],
    ]);
  },
  read(files) {
    const { ppl: table } = schema.parse(JSON.parse(textOf(files, ".ppl.json")));
    return new Map(
      Object.entries(table).map(([tensor, { step, zero_point: zeros, bit }]) => [
        tensor,
        {
          low: step.map((size, i) => -(zeros[i] ?? NaN) * size),
          high: step.map((size, i) => (2 ** bit - 1 - (zeros[i] ?? NaN)) * size),
          levels: 2 ** bit,
        },
      ]),
    );
  },
};
