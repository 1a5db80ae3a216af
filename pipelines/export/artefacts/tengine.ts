import { MQBENCH_TOOLKIT } from "../../../backends/backend.js";
import { encodingOf, isCodebook, levelsOf } from "../../freeze/index.js";
import { encodeText, tensorOf, textOf, type ArtefactFormat } from "./artefact.js";
import { floatModel } from "./floatForm.js";

const LEVELS = 256;

/** A float model and a line for each tensor: its name, scale and zero point, for unsigned bytes. */
export const tengine: ArtefactFormat = {
  name: "tengine",
  title: "Tengine scale table",
  source: MQBENCH_TOOLKIT,
  backends: ["tengine"],
  keys: "tensor",
  unsupported({ scheme: { bitWidth, signed, granularity } }, levels) {
    if (isCodebook(levels)) return "its levels are not uniform";
    if (bitWidth !== 8) return `the table stands for 8 bits, and this has ${String(bitWidth)}`;
    if (signed) return "the table is for unsigned integers";
    return granularity === "perChannel" ? "the table has one scale for each tensor" : undefined;
  },
  write(frozen, name) {
    const lines = frozen.sites.map((site) => {
      const { low, high } = encodingOf(site, levelsOf(frozen, site));
      const scale = ((high[0] ?? NaN) - (low[0] ?? NaN)) / (LEVELS - 1);
      const zeroPoint = -Math.round((low[0] ?? NaN) / scale);
      // Names of this project have no tabs; spaces they may have.
      return [tensorOf(frozen, site), scale, zeroPoint].join("\t");
    });
    return new Map([
      [`${name}.float.onnx`, floatModel(frozen, name)],
      [`${name}.tengine.scale`, encodeText(`${lines.join("\n")}\n`)],
    ]);
  },
  read: (files) =>
    new Map(
      textOf(files, ".tengine.scale")
        .trimEnd()
        .split("\n")
        .map((line) => {
          const [tensor = "", scale, zeroPoint] = line.split("\t");
          const at = (code: number) => [(code - Number(zeroPoint)) * Number(scale)];
          return [tensor, { low: at(0), high: at(LEVELS - 1), levels: LEVELS }] as const;
        }),
    ),
};
