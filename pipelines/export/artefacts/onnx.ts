import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { exportOnnx } from "../onnx/exportOnnx.js";
import { type Encoding } from "../../freeze/index.js";
import { fileOf, type ArtefactFiles, type ArtefactFormat } from "./artefact.js";
import { STORAGE_RANGES } from "../onnx/storage.js";
import { constantsOf } from "./readOnnx.js";

const source = { title: "ONNX QuantizeLinear, opset 21", url: "https://onnx.ai/onnx/operators/" };

/** Networks as this project runs them: 8-bit storage, and a Clip where a range is smaller. */
export const onnx: ArtefactFormat = {
  name: "onnx",
  title: "ONNX with QuantizeLinear and DequantizeLinear",
  source,
  backends: ["onnxruntime", "academic"],
  keys: "site",
  mergesRelu6: true,
  unsupported: () => undefined,
  write: (frozen, name) => new Map([[`${name}.onnx`, exportOnnx(frozen, name)]]),
  read: readSites,
};

/** The same with weights of up to 4 bits in ONNX's own 4-bit types: half the bytes. */
export const onnxInt4: ArtefactFormat = {
  ...onnx,
  name: "onnxInt4",
  title: "ONNX with 4-bit weights",
  backends: ["onnxruntime"],
  write: (frozen, name) =>
    new Map([[`${name}.int4.onnx`, exportOnnx(frozen, name, { packWeights: true })]]),
};

/** Integers of each type; where a Clip follows, it says what is left of them. */
const TYPE_RANGES: Readonly<Record<string, readonly [number, number]>> = STORAGE_RANGES;

/** Reads the graph, not the metadata: what a runtime computes is what counts. */
function readSites(files: ArtefactFiles): ReadonlyMap<string, Encoding> {
  const { graph, metadataProps } = fromBinary(ModelProtoSchema, fileOf(files, ".onnx"));
  const constants = constantsOf(graph?.initializer ?? []);
  const producers = new Map((graph?.node ?? []).map((node) => [node.output[0] ?? "", node]));
  const encodings = new Map<string, Encoding>();
  for (const node of graph?.node ?? []) {
    const [output = ""] = node.output;
    if (node.opType === "Gather" && node.input[0] !== undefined) {
      const levels = constants.get(node.input[0]);
      if (levels?.type !== "float32") continue;
      const count = new Set(levels.values).size;
      encodings.set(output, {
        low: [levels.values[0] ?? NaN],
        high: [levels.values.at(-1) ?? NaN],
        levels: count,
      });
    }
    if (node.opType !== "DequantizeLinear") continue;
    const [codes = "", scale = "", zeroPoint = ""] = node.input;
    const [steps, zeros] = [constants.get(scale), constants.get(zeroPoint)];
    const [typeMin, typeMax] = TYPE_RANGES[zeros?.type ?? ""] ?? [];
    if (
      steps === undefined ||
      zeros === undefined ||
      typeMin === undefined ||
      typeMax === undefined
    )
      continue;
    const clip = producers.get(codes);
    const bound = (input: number, otherwise: number) =>
      clip?.opType === "Clip"
        ? (constants.get(clip.input[input] ?? "")?.values[0] ?? otherwise)
        : otherwise;
    // The integers of constant weights are all there: they cannot leave their range.
    const stored = metadataRange(metadataProps, output);
    const isWeight = constants.has(codes);
    const [low, high] =
      isWeight && stored !== undefined ? stored : [bound(1, typeMin), bound(2, typeMax)];
    if (isWeight && constants.get(codes)?.values.some((code) => code < low || code > high))
      throw new RangeError(`weights of "${output}" leave [${String(low)}, ${String(high)}]`);
    const at = (code: number) =>
      steps.values.map((step, i) => (code - (zeros.values[i] ?? 0)) * step);
    encodings.set(output, { low: at(low), high: at(high), levels: high - low + 1 });
  }
  return encodings;
}

function metadataRange(
  properties: readonly { readonly key: string; readonly value: string }[],
  id: string,
): readonly [number, number] | undefined {
  const found = properties.find(({ key }) => key === `quantbench.site.${id}`);
  if (found === undefined) return undefined;
  const { quantMin, quantMax } = JSON.parse(found.value) as { quantMin: number; quantMax: number };
  return [quantMin, quantMax];
}
