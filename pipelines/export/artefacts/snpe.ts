import { z } from "zod";
import { accumulatorSteps, encodingOf, isCodebook, levelsOf } from "../../freeze/index.js";
import { isLayer } from "../../network/index.js";
import { freeName } from "../names.js";
import { encodeText, tensorOf, textOf, type ArtefactFormat } from "./artefact.js";
import { floatModel } from "./floatForm.js";

const encoding = z.strictObject({
  bitwidth: z.number().int(),
  min: z.number(),
  max: z.number(),
  scale: z.number().positive(),
  offset: z.number().int(),
  is_symmetric: z.enum(["True", "False"]),
});
type Entry = z.infer<typeof encoding>;
const schema = z.strictObject({
  version: z.literal("0.6.1"),
  activation_encodings: z.record(z.string(), z.array(encoding)),
  param_encodings: z.record(z.string(), z.array(encoding)),
});

/**
 * A float model and encodings for `snpe-onnx-to-dlc --quantization_overrides`, in the form that AIMET
 * writes: with weights and biases, which MQBench leaves out.
 */
export const snpe: ArtefactFormat = {
  name: "snpe",
  title: "SNPE / AIMET encodings",
  source: {
    title: "AIMET encoding format specification 0.6.1; SNPE quantization overrides",
    url: "https://quic.github.io/aimet-pages/releases/latest/techniques/encoding_spec.html",
  },
  backends: ["snpe"],
  keys: "tensor",
  unsupported({ scheme: { narrowRange } }, levels) {
    if (isCodebook(levels)) return "its levels are not uniform";
    return narrowRange ? "its number of levels is not a power of two" : undefined;
  },
  write(frozen, name) {
    const activations: Record<string, Entry[]> = {};
    const parameters: Record<string, Entry[]> = {};
    for (const site of frozen.sites) {
      const { low, high, levels } = encodingOf(site, levelsOf(frozen, site));
      const entries = low.map((min, i) => {
        const max = high[i] ?? NaN;
        return entryOf({ min, max, bitwidth: Math.log2(levels), symmetric: site.scheme.symmetric });
      });
      const target = site.role === "weight" ? parameters : activations;
      target[tensorOf(frozen, site)] = entries;
    }
    for (const layer of frozen.network.nodes.filter(isLayer)) {
      const steps = accumulatorSteps(frozen, layer);
      if (steps === undefined || !frozen.biases.has(layer.name)) continue;
      // One entry where the weights have one scale.
      const different = new Set(steps).size === 1 ? steps.slice(0, 1) : steps;
      parameters[freeName(frozen.network, `${layer.name} bias`)] = Array.from(different, (step) =>
        entryOf({
          min: -(2 ** 31) * step,
          max: (2 ** 31 - 1) * step,
          bitwidth: 32,
          symmetric: true,
        }),
      );
    }
    const table = {
      version: "0.6.1",
      activation_encodings: activations,
      param_encodings: parameters,
    };
    return new Map([
      [`${name}.float.onnx`, floatModel(frozen, name)],
      [`${name}.encodings.json`, encodeText(`${JSON.stringify(table, null, 2)}\n`)],
    ]);
  },
  read(files) {
    const table = schema.parse(JSON.parse(textOf(files, ".encodings.json")));
    return new Map(
      [...Object.entries(table.activation_encodings), ...Object.entries(table.param_encodings)].map(
        ([tensor, entries]) => [
          tensor,
          {
            low: entries.map(({ offset, scale }) => offset * scale),
            high: entries.map(
              ({ offset, scale, bitwidth }) => (offset + 2 ** bitwidth - 1) * scale,
            ),
            levels: 2 ** (entries[0]?.bitwidth ?? 0),
          },
        ],
      ),
    );
  },
};

function entryOf({
  min,
  max,
  bitwidth,
  symmetric,
}: {
  readonly min: number;
  readonly max: number;
  readonly bitwidth: number;
  readonly symmetric: boolean;
}): Entry {
  const scale = (max - min) / (2 ** bitwidth - 1);
  return {
    ...{ bitwidth, min, max, scale },
    offset: Math.round(min / scale),
    is_symmetric: symmetric ? "True" : "False",
  };
}
