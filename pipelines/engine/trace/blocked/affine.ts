import * as tf from "#tf";
import type { Call } from "../program.js";
import type { TraceBackend } from "../traceBackend.js";
import { inputOf, isImages, lowerBlocked, outputOf, type BlockedContext } from "./registry.js";

type Info = tf.TensorInfo;

/** activation(x * scale + shift + addend), with one scale and shift for each channel. */
interface Affine {
  readonly x: Info;
  /** Whether nothing else reads x: it need not be computed by itself. */
  readonly only: boolean;
  readonly scale?: Info;
  readonly shift?: Info;
  readonly addend?: Info;
  readonly activation?: "Relu" | "Relu6";
}

// A pointwise depthwise convolution computes all of it in one pass over the images: batch norm, the
// residual that is added to it, and the ReLU behind.
for (const kernel of ["Add", "Relu", "Relu6"]) {
  lowerBlocked(kernel, (call, context) => {
    const affine = affineOf(call, context);
    const worthwhile =
      affine?.shift !== undefined || (affine?.scale !== undefined && affine.addend !== undefined);
    if (!worthwhile || !context.trace.isBlocked(affine.x)) return undefined;
    return record(context.trace, affine, outputOf(call));
  });
}

function affineOf(call: Call, context: BlockedContext): Affine | undefined {
  const [output] = call.outputs;
  if (output === undefined || !isImages(output)) return undefined;
  switch (call.kernel) {
    case "Multiply": {
      const { images, vector } = operands(call, output);
      const only = images !== undefined && context.program.feedsOnly(images, call);
      return images && vector && { x: images, only, scale: vector };
    }
    case "Add": {
      const { images, vector } = operands(call, output);
      if (images && vector) {
        const inner = inside(images, call, context);
        const whole = { x: images, only: context.program.feedsOnly(images, call) };
        return inner?.shift || inner?.activation
          ? { ...whole, shift: vector }
          : { ...(inner ?? whole), shift: vector };
      }
      const { a, b } = { a: inputOf(call, "a"), b: inputOf(call, "b") };
      if (a.shape.join() !== b.shape.join() || a.dataId === b.dataId) return undefined;
      for (const [one, other] of [
        [a, b],
        [b, a],
      ] as const) {
        const inner = inside(one, call, context);
        if (inner && !inner.addend && !inner.activation) return { ...inner, addend: other };
      }
      return undefined;
    }
    case "Relu":
    case "Relu6": {
      const inner = inside(inputOf(call, "x"), call, context, asksForSign);
      return inner && !inner.activation ? { ...inner, activation: call.kernel } : undefined;
    }
    default:
      return undefined;
  }
}

/** What a value is made of, if only `user` reads it: else it has to be computed anyway. */
function inside(
  info: Info,
  user: Call,
  context: BlockedContext,
  besides?: (call: Call) => boolean,
): Affine | undefined {
  const call = context.program.producer(info, "Multiply", "Add");
  if (call === undefined || !context.program.feedsOnly(info, user, besides)) return undefined;
  return affineOf(call, context);
}

/** Gradients of a ReLU ask for the sign of its input, which its result tells too. */
const asksForSign = ({ kernel, attributes }: Call): boolean =>
  kernel === "Step" && !attributes["alpha"];

function operands(call: Call, output: Info): { images?: Info; vector?: Info } {
  const [a, b] = [inputOf(call, "a"), inputOf(call, "b")];
  const channels = output.shape[3] ?? 1;
  const isVector = ({ shape }: Info) =>
    tf.util.sizeFromShape(shape) === channels && shape.at(-1) === channels && channels > 1;
  const whole = output.shape.join();
  if (a.shape.join() === whole && isVector(b)) return { images: a, vector: b };
  if (b.shape.join() === whole && isVector(a)) return { images: b, vector: a };
  return {};
}

function record(trace: TraceBackend, affine: Affine, output: Info): Info {
  const { images } = trace;
  const addends = affine.addend && trace.blocked(affine.addend).chunks;
  const lanes = images.lanes(output.shape);
  const vector = (info: Info) => images.channelVector(trace.plain(info), output.shape);
  const { only, activation } = affine;
  const scale = affine.scale && { name: vector(affine.scale), lanes };
  const shift = affine.shift && vector(affine.shift);
  const chunks = trace.blocked(affine.x).chunks.map((x, i) => {
    const behind = { scale, shift, addend: addends?.[i], activation };
    // A convolution that nothing else reads, as in inference, computes all of it itself.
    const fused = only ? images.convolvedThen(x, behind) : undefined;
    return fused ?? images.affine(x, lanes, behind);
  });
  return trace.blockedResult({ chunks }, output.shape, "float32");
}

/**
 * Splits a gradient that is images times a factor for each channel, if only convolutions'
 * gradients read it: they multiply their small filters instead.
 */
export function withoutFactor(
  dy: Info,
  { program }: BlockedContext,
): { readonly images: Info; readonly factor?: Info } {
  const call = program.producer(dy, "Multiply");
  if (call === undefined || !program.users(dy).every(({ kernel }) => TAKES_FACTOR.includes(kernel)))
    return { images: dy };
  const { images, vector } = operands(call, dy);
  return images && vector ? { images, factor: vector } : { images: dy };
}

const TAKES_FACTOR: readonly string[] = [
  "Conv2DBackpropInput",
  "Conv2DBackpropFilter",
  "DepthwiseConv2dNativeBackpropInput",
  "DepthwiseConv2dNativeBackpropFilter",
];
