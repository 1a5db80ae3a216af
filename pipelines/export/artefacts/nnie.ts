import { z } from "zod";
import { MQBENCH_TOOLKIT } from "../../../backends/backend.js";
import { encodingOf, isCodebook, levelsOf } from "../../freeze/index.js";
import { encodeText, tensorOf, textOf, type ArtefactFormat } from "./artefact.js";
import { floatModel } from "./floatForm.js";

const schema = z.strictObject({
  nnie: z.strictObject({ gfpq_param_dict: z.record(z.string(), z.number().positive()) }),
});
/** Magnitudes of a logarithmic tensor, and steps to the octave. */
const CODES = 127;
const STEPS = 16;

/** A float model and the largest magnitude of every tensor, from which NNIE takes its logarithms. */
export const nnie: ArtefactFormat = {
  name: "nnie",
  title: "NNIE limits",
  source: MQBENCH_TOOLKIT,
  backends: ["nnie"],
  keys: "tensor",
  unsupported: ({ scheme }, levels) =>
    scheme.levels === "logarithmic" && isCodebook(levels)
      ? undefined
      : "NNIE knows logarithmic levels only",
  write(frozen, name) {
    const limits = Object.fromEntries(
      frozen.sites.map((site) => [
        tensorOf(frozen, site),
        encodingOf(site, levelsOf(frozen, site)).high[0] ?? NaN,
      ]),
    );
    const table = { nnie: { gfpq_param_dict: limits } };
    return new Map([
      [`${name}.float.onnx`, floatModel(frozen, name)],
      [`${name}.nnie.json`, encodeText(`${JSON.stringify(table, null, 2)}\n`)],
    ]);
  },
  read(files) {
    const { nnie: table } = schema.parse(JSON.parse(textOf(files, ".nnie.json")));
    return new Map(
      Object.entries(table.gfpq_param_dict).map(([tensor, limit]) => {
        const largest = 2 ** (Math.round(STEPS * Math.log2(limit)) / STEPS);
        // One code less on the negative side: its least magnitude is that of code 1.
        return [tensor, { low: [-largest], high: [largest], levels: 2 * CODES + 2 }];
      }),
    );
  },
};
