import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import { isCodebook, type FrozenGrid, type FrozenNetwork } from "../../freeze/index.js";
import { parameterSpecs } from "../../network/index.js";
import type { ConvNode, DenseNode } from "../../../algorithms/network.js";
import { NoForm } from "../form.js";
import type { TfliteModel } from "./tfliteModel.js";

/** A model that is being written, and what it is written from. */
export interface Writing {
  readonly model: TfliteModel;
  readonly frozen: FrozenNetwork;
}

/** [filters, rows, columns, channels]; depthwise [1, rows, columns, channels]; dense [units, inputs]. */
export function addKernel(
  { model, frozen }: Writing,
  node: ConvNode | DenseNode,
  packWeights: boolean,
): number {
  const id = `${node.name}/kernel`;
  const shape = parameterSpecs(frozen.network).get(id)?.shape ?? [];
  const weight = frozen.weights.get(id);
  if (weight === undefined || isCodebook(weight.on))
    return refuse(id, "its weights are not on a grid of equal steps");
  const depthwise = node.op === "conv2d" && node.depthwise;
  const outputs = depthwise ? 1 : (shape.at(-1) ?? 1);
  const inner = weight.codes.length / outputs;
  const codes = depthwise
    ? Int8Array.from(weight.codes)
    : Int8Array.from(
        weight.codes,
        (_, i) => weight.codes[(i % inner) * outputs + Math.floor(i / inner)] ?? 0,
      );
  const channels = depthwise ? node.filters : outputs;
  const { scale } = weight.on;
  const site = frozen.sites.find((one) => one.id === id);
  const tensorShape = depthwise ? [1, ...shape.slice(0, 3)] : [outputs, ...shape.slice(0, -1)];
  return model.tensor({
    ...{ name: id, shape: tensorShape, data: codes },
    type: packWeights && (site?.scheme.bitWidth ?? 8) <= 4 ? "int4" : "int8",
    grid: {
      scale: Float32Array.from(
        { length: channels },
        (_, i) => scale[scale.length > 1 ? i : 0] ?? 1,
      ),
      zeroPoint: new Int32Array(channels),
      axis: depthwise ? 3 : 0,
    },
  });
}

/** In steps of the accumulator. */
export function addBias(
  { model, frozen }: Writing,
  node: ConvNode | DenseNode,
  steps: Float32Array,
): number {
  const bias = frozen.biases.get(node.name) ?? new Float32Array(steps.length);
  const codes = Array.from(bias, (value, i) => Math.round(value / (steps[i] ?? 1)));
  if (codes.some((code) => Math.abs(code) >= 2 ** 31))
    refuse(node.name, "its bias does not fit 32 bits in steps of the accumulator");
  return model.tensor({
    ...{ name: `${node.name} bias`, type: "int32", shape: [codes.length] },
    data: Int32Array.from(codes),
    grid: { scale: steps, zeroPoint: new Int32Array(steps.length) },
  });
}

/** @throws NoForm */
export function refuse(what: string, reason: string): never {
  throw new NoForm(`TensorFlow Lite cannot hold "${what}": ${reason}`);
}

/** What unsigned integers lose to become int8. */
export const storageOffset = ({ scheme }: QuantizerSite): number => (scheme.signed ? 0 : 128);

/** An activation's grid for int8. */
export function signedGrid(frozen: FrozenNetwork, site: QuantizerSite): FrozenGrid {
  const levels = frozen.activations.get(site.id);
  if (levels === undefined || isCodebook(levels)) return refuse(site.id, "its steps are not equal");
  const offset = storageOffset(site);
  return { scale: levels.scale, zeroPoint: levels.zeroPoint.map((zero) => zero - offset) };
}

/** Why a quantizer cannot be written, if so. */
export function unsupportedSite(
  { role, scheme }: QuantizerSite,
  levels: FrozenGrid | { readonly levels: Float32Array },
): string | undefined {
  if ("levels" in levels) return "its steps are not equal";
  if (scheme.bitWidth > 8) return `${String(scheme.bitWidth)} bits are more than its 8`;
  if (scheme.rounding === "dpu") return "it rounds ties in its own way";
  if (role === "weight" && (!scheme.signed || levels.zeroPoint.some((zero) => zero !== 0)))
    return "its weights are symmetric";
  return undefined;
}

/** @throws NoForm where a quantizer cannot be written */
export function checkSite(frozen: FrozenNetwork, site: QuantizerSite): void {
  const levels = frozen.activations.get(site.id) ?? frozen.weights.get(site.id)?.on;
  const reason = levels && unsupportedSite(site, levels);
  if (reason !== undefined) refuse(site.id, reason);
}
