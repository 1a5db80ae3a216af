import type { ConvNode, DenseNode } from "../../../algorithms/network.js";
import { accumulatorSteps, isCodebook } from "../../freeze/index.js";
import { consumersOf, windowOf } from "../../network/index.js";
import { int32Bias, kernelOf, type KernelOrder } from "../layers.js";
import { LOGITS_OUTPUT } from "../names.js";
import { finish } from "./fuse.js";
import { convolutionOptions, denseOptions } from "./options.js";
import { padded } from "./padding.js";
import { inFloat, refuse, tensorOf, type Value, type Writing } from "./writing.js";

/** [filters, rows, columns, inputs]; depthwise [1, rows, columns, channels]; dense [units, inputs]. */
const TFLITE_KERNELS: KernelOrder = {
  convolution: [3, 0, 1, 2],
  depthwise: [3, 0, 1, 2],
  dense: [1, 0],
};

export function convolution(node: ConvNode, writing: Writing): Value {
  if ((node.groups ?? 1) > 1)
    return refuse(node.name, "convolutions of groups have no form here yet");
  const constants = integers(node, writing);
  const window = windowOf({ ...node, size: node.kernelSize });
  const input = padded(writing, node, window);
  return finish(node, writing, {
    fuses: true,
    add(result, activation) {
      checkRatio(node, writing, { bias: constants[1], result });
      const operator = node.depthwise ? "DEPTHWISE_CONV_2D" : "CONV_2D";
      const options = convolutionOptions(window, node.depthwise, activation);
      writing.model.add(operator, [input, ...constants], result, options);
    },
  });
}

export function dense(node: DenseNode, writing: Writing): Value {
  if (consumersOf(writing.frozen.network, node.name).length === 0) return floatDense(node, writing);
  const constants = integers(node, writing);
  return finish(node, writing, {
    fuses: true,
    add(result, activation) {
      checkRatio(node, writing, { bias: constants[1], result });
      const inputs = [tensorOf(writing, node.input), ...constants];
      writing.model.add("FULLY_CONNECTED", inputs, result, denseOptions(activation));
    },
  });
}

/** XNNPACK multiplies sums by less than this to get the result's integers. */
const LARGEST_RATIO = 256;

/**
 * XNNPACK prepares no network with a layer whose result has much finer steps than its sums, such
 * as one that was 0 on all calibration images; LiteRT then computes nothing.
 *
 * @throws NoForm
 */
function checkRatio(
  { name }: ConvNode | DenseNode,
  { model }: Writing,
  { bias, result }: { readonly bias: number; readonly result: number },
): void {
  const steps = Array.from(model.at(bias).grid?.scale ?? []);
  const ratio = Math.max(...steps) / (model.at(result).grid?.scale[0] ?? 1);
  if (ratio >= LARGEST_RATIO)
    refuse(
      name,
      `its sums' steps are ${ratio.toPrecision(3)} times its result's, and XNNPACK takes less than ${String(LARGEST_RATIO)}`,
    );
}

/** The weights and biases of a layer of integers. */
function integers(node: ConvNode | DenseNode, writing: Writing): [weights: number, bias: number] {
  const { frozen, model, free } = writing;
  const steps = accumulatorSteps(frozen, node);
  if (steps === undefined) return refuse(node.name, "its weights or inputs are not integers");
  const weights = kernel(node, writing);
  const codes = int32Bias(frozen, node, { steps, refuse });
  const bias = model.tensor({
    ...{ name: free(`${node.name} bias`), type: "int32", shape: [steps.length] },
    data: Int32Array.from(codes ?? new Int32Array(steps.length)),
    grid: { scale: steps, zeroPoint: new Int32Array(steps.length) },
  });
  return [weights, bias];
}

function kernel(node: ConvNode | DenseNode, { frozen, model, free, ...writing }: Writing): number {
  const { id, shape, ordered } = kernelOf(frozen.network, node, TFLITE_KERNELS);
  const weight = frozen.weights.get(id);
  if (weight === undefined || isCodebook(weight.on))
    return refuse(id, "its weights are not on a grid of equal steps");
  const axis = node.op === "conv2d" && node.depthwise ? 3 : 0;
  const channels = shape[axis] ?? 1;
  const { scale } = weight.on;
  const isSmall = writing.siteOf(id).scheme.bitWidth <= 4;
  return model.tensor({
    ...{ name: free(id), shape, data: Int8Array.from(ordered(weight.codes)) },
    type: writing.packWeights && isSmall ? "int4" : "int8",
    grid: {
      scale: Float32Array.from(
        { length: channels },
        (_, i) => scale[scale.length > 1 ? i : 0] ?? 1,
      ),
      ...{ zeroPoint: new Int32Array(channels), axis },
    },
  });
}

/** A last layer whose result is not quantized: integers in the file, multiplied as real numbers. */
function floatDense(node: DenseNode, writing: Writing): number {
  const { frozen, model, batch, free } = writing;
  const codes = kernel(node, writing);
  const { shape } = model.at(codes);
  const { units } = node;
  const weights = model.add(
    "DEQUANTIZE",
    [codes],
    model.tensor({ name: free(`${node.name} weights`), type: "float32", shape }),
  );
  const bias = model.tensor({
    ...{ name: free(`${node.name} bias`), type: "float32", shape: [units] },
    data: frozen.biases.get(node.name) ?? new Float32Array(units),
  });
  const name = free(LOGITS_OUTPUT);
  const result = model.tensor({ name, type: "float32", shape: [batch, units] });
  const input = inFloat(writing, tensorOf(writing, node.input), `${node.name} input`);
  return model.add("FULLY_CONNECTED", [input, weights, bias], result, denseOptions(0));
}
