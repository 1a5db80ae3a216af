import type { QuantRange } from "../../../backends/scheme.js";
import type { Encoding } from "../../freeze/index.js";
import { exportTflite } from "../tflite/exportTflite.js";
import { readTflite, type ReadTensor, type ReadTflite } from "../tflite/readTflite.js";
import { OPERATORS, TENSOR_TYPES } from "../tflite/schema.js";
import { unsupportedSite } from "../tflite/sites.js";
import { fileOf, type ArtefactFiles, type ArtefactFormat } from "./artefact.js";

/** Networks whose every layer computes in integers, for LiteRT (TensorFlow Lite). */
export const tflite: ArtefactFormat = {
  name: "tflite",
  title: "TensorFlow Lite",
  source: {
    title: "LiteRT 8-bit quantization specification",
    url: "https://ai.google.dev/edge/litert/models/quantization_spec",
  },
  backends: ["litert", "stpu", "onnxruntime"],
  keys: "site",
  mergesRelu6: true,
  unsupported: unsupportedSite,
  write: (frozen, name) => new Map([[`${name}.tflite`, exportTflite(frozen, name).bytes]]),
  read: readSites,
};

/** The same with weights of up to 4 bits in half the bytes, which some kernels run slowly. */
export const tfliteInt4: ArtefactFormat = {
  ...tflite,
  name: "tfliteInt4",
  title: "TensorFlow Lite with 4-bit weights",
  write: (frozen, name) =>
    new Map([[`${name}.int4.tflite`, exportTflite(frozen, name, { packWeights: true }).bytes]]),
};

const INTEGERS: Readonly<Record<number, QuantRange>> = {
  [TENSOR_TYPES.int8]: { quantMin: -128, quantMax: 127 },
  [TENSOR_TYPES.int4]: { quantMin: -8, quantMax: 7 },
};

/** Reads tensors and the bounds that operators set; what weights may be is in the description. */
function readSites(files: ArtefactFiles): ReadonlyMap<string, Encoding> {
  const file = readTflite(fileOf(files, ".tflite"));
  const ranges = JSON.parse(file.description) as Readonly<Record<string, QuantRange>>;
  const encodings = new Map<string, Encoding>();
  file.tensors.forEach((tensor, index) => {
    const type = INTEGERS[tensor.type];
    if (type === undefined || tensor.scale.length === 0) return;
    const { quantMin, quantMax } =
      tensor.bytes.length > 0
        ? weightRange(tensor, ranges[tensor.name], type)
        : boundedRange(file, index, type);
    const at = (code: number) =>
      tensor.scale.map((scale, i) => (code - (tensor.zeroPoint[i] ?? 0)) * scale);
    const channels = new Set(tensor.scale).size === 1 ? 1 : tensor.scale.length;
    const encoding = { levels: quantMax - quantMin + 1 };
    encodings.set(tensor.name, {
      ...encoding,
      low: at(quantMin).slice(0, channels),
      high: at(quantMax).slice(0, channels),
    });
  });
  return encodings;
}

/** @throws RangeError when weights leave the range that they are said to have */
function weightRange(
  { name, type, bytes }: ReadTensor,
  stated: QuantRange | undefined,
  storage: QuantRange,
): QuantRange {
  const range = stated ?? storage;
  const codes =
    type === TENSOR_TYPES.int4
      ? [...bytes].flatMap((byte) => [byte & 15, byte >> 4]).map((c) => (c > 7 ? c - 16 : c))
      : [...new Int8Array(bytes)];
  if (codes.some((code) => code < range.quantMin || code > range.quantMax))
    throw new RangeError(
      `weights of "${name}" leave [${String(range.quantMin)}, ${String(range.quantMax)}]`,
    );
  return range;
}

/** The type's integers, less what MINIMUM and MAXIMUM before the tensor cut off. */
function boundedRange(file: ReadTflite, index: number, range: QuantRange): QuantRange {
  const operator = file.operators.find(({ output }) => output === index);
  const [input = -1, limit = -1] = operator?.inputs ?? [];
  const bound = new Int8Array(file.tensors[limit]?.bytes ?? [])[0] ?? NaN;
  if (operator?.code === OPERATORS.MINIMUM.code)
    return { ...boundedRange(file, input, range), quantMax: bound };
  if (operator?.code === OPERATORS.MAXIMUM.code)
    return { ...boundedRange(file, input, range), quantMin: bound };
  return range;
}
