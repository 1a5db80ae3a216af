import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, type NodeProto } from "onnx-buf";
import type { Encoding } from "../../freeze/index.js";
import { STORAGE_RANGES } from "../onnx/storage.js";
import { exportQLinear } from "../qlinear/exportQLinear.js";
import { fileOf, type ArtefactFiles, type ArtefactFormat } from "./artefact.js";
import { constantsOf, type Constant } from "./readOnnx.js";

/** Networks in operators that compute integers from integers, as TVM's front end reads them. */
export const qlinear: ArtefactFormat = {
  name: "qlinear",
  title: "ONNX in QLinear operators",
  source: {
    title: "ONNX QLinearConv; onnxruntime contrib operators QGemm, QLinearAdd",
    url: "https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md",
  },
  backends: ["onnxQnn", "onnxruntime", "tengine", "pplCuda"],
  keys: "site",
  mergesRelu6: true,
  unsupported: (site, levels) => {
    if ("levels" in levels) return "its steps are not equal";
    if (site.scheme.rounding === "dpu") return "it rounds ties in its own way";
    return site.scheme.bitWidth > 8 ? "it has more than 8 bits" : undefined;
  },
  write: (frozen, name) => new Map([[`${name}.qlinear.onnx`, exportQLinear(frozen, name)]]),
  read: readSites,
};

/** Where operators have the scale of what they write; the zero point follows. */
const OUTPUT_SCALE: Readonly<Record<string, number>> = {
  QuantizeLinear: 1,
  QLinearConv: 6,
  QLinearAdd: 6,
  QLinearGlobalAveragePool: 3,
  QGemm: 7,
};
/** Inputs of the operators that have weights. */
const WEIGHTS = { codes: 3, scale: 4, zeroPoint: 5 } as const;

const TYPE_RANGES: Readonly<Record<string, readonly [number, number]>> = STORAGE_RANGES;

function readSites(files: ArtefactFiles): ReadonlyMap<string, Encoding> {
  const { graph, metadataProps } = fromBinary(ModelProtoSchema, fileOf(files, ".onnx"));
  const constants = constantsOf(graph?.initializer ?? []);
  const nodes = graph?.node ?? [];
  const producers = new Map(nodes.map((node) => [node.output[0] ?? "", node]));
  const constant = (node: NodeProto, input: number): Constant | undefined =>
    constants.get(node.input[input] ?? "");
  const encodings = new Map<string, Encoding>();
  const add = (name: string, grid: [Constant, Constant], low: number, high: number) => {
    const [scale, zeroPoint] = grid;
    const at = (code: number) =>
      scale.values.map((step, i) => (code - (zeroPoint.values[i] ?? 0)) * step);
    encodings.set(name, { low: at(low), high: at(high), levels: high - low + 1 });
  };
  for (const { key, value } of metadataProps) {
    const name = key.replace("quantbench.site.", "");
    const stated = JSON.parse(value) as { quantMin: number; quantMax: number };
    const reader = nodes.find(({ input }) => input[WEIGHTS.codes] === name);
    if (reader !== undefined && constants.has(name)) {
      const scale = constant(reader, WEIGHTS.scale);
      const zeroPoint = constant(reader, WEIGHTS.zeroPoint);
      const { quantMin, quantMax } = stated;
      if (constants.get(name)?.values.some((code) => code < quantMin || code > quantMax))
        throw new RangeError(
          `weights of "${name}" leave [${String(quantMin)}, ${String(quantMax)}]`,
        );
      if (scale && zeroPoint) add(name, [scale, zeroPoint], quantMin, quantMax);
      continue;
    }
    // From the codes back to the operator that wrote them.
    let node = producers.get(name);
    const clip = node?.opType === "Clip" ? node : undefined;
    while (node !== undefined && ["Clip", "Max", "Flatten"].includes(node.opType))
      node = producers.get(node.input[0] ?? "");
    const at = OUTPUT_SCALE[node?.opType ?? ""];
    if (node === undefined || at === undefined) continue;
    const [scale, zeroPoint] = [constant(node, at), constant(node, at + 1)];
    const range = TYPE_RANGES[zeroPoint?.type ?? ""];
    if (scale === undefined || zeroPoint === undefined || range === undefined) continue;
    const bound = (input: number, otherwise: number) =>
      (clip && constant(clip, input)?.values[0]) ?? otherwise;
    add(name, [scale, zeroPoint], bound(1, range[0]), bound(2, range[1]));
  }
  return encodings;
}
