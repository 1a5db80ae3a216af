import type * as tf from "#tf";
import type { Program } from "../program.js";
import { standardLowering, type TraceBackend } from "../traceBackend.js";
// What fuses several calls is tried before what records one of them.
import "./quantize.js";
import "./affine.js";
import "./accumulate.js";
import "./elementwise.js";
import "./reductions.js";
import "./convolution.js";
import "./filterGradient.js";
import { tryBlocked } from "./registry.js";

/** Records a program again with images in the blocked layout. */
export function recordBlocked(trace: TraceBackend, program: Program): void {
  const context = { trace, program };
  for (const call of program.calls) {
    const blocked = tryBlocked(call, context);
    const results =
      blocked === undefined
        ? toList(standardLowering(call.kernel)(call.inputs, call.attributes, trace))
        : [blocked];
    call.outputs.forEach((output, i) => {
      const result = results[i];
      if (result !== undefined) trace.rebind(output, result);
    });
  }
}

/** The most channels that a convolution reads or writes, by the number of pixels of its images. */
export function widestImages(program: Program): ReadonlyMap<number, number> {
  const widest = new Map<number, number>();
  for (const { kernel, inputs, outputs } of program.calls) {
    if (kernel !== "Conv2D" && kernel !== "DepthwiseConv2dNative") continue;
    for (const info of [inputs["x"], ...outputs]) {
      const [, h = 1, w = 1, channels = 1] = info?.shape ?? [];
      widest.set(h * w, Math.max(channels, widest.get(h * w) ?? 0));
    }
  }
  return widest;
}

const toList = (infos: tf.TensorInfo | tf.TensorInfo[]): tf.TensorInfo[] =>
  Array.isArray(infos) ? infos : [infos];
