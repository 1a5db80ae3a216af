import * as tf from "#tf";
import { dataTypeCode } from "../../../onnx/index.js";
import type { Call } from "../program.js";
import { inputOf, isImages, lowerBlocked, outputOf, type BlockedContext } from "./registry.js";

type Info = tf.TensorInfo;

/**
 * round(clip(x / scale, low, high)) * scale, where low and high may be moved by a zero point:
 * QuantizeLinear computes the same integers, as bytes, of which the gradient of a filter then
 * needs a quarter of the memory traffic.
 */
lowerBlocked("Multiply", (call, context) => {
  const output = outputOf(call);
  const { trace, program } = context;
  const { a: rounded, b: scale } = call.inputs;
  if (rounded === undefined || scale === undefined || !isScalar(scale)) return undefined;
  const round = program.producer(rounded, "Round");
  const clipped = round && clipOf(inputOf(round, "x"), context);
  const divide = clipped && program.producer(clipped.steps, "RealDiv");
  if (clipped === undefined || divide?.inputs["b"]?.dataId !== scale.dataId) return undefined;
  const { low, high, zeroPoint } = clipped;
  const codes = codeType(low, high);
  const x = inputOf(divide, "a");
  if (codes === undefined || !isImages(output) || !trace.isBlocked(x)) return undefined;

  const { graph, images } = trace;
  const step = images.reshape(trace.plain(scale), []);
  const zero =
    zeroPoint === undefined
      ? graph.constant(codes.type, [], [0])
      : graph.add("Cast", [images.reshape(trace.plain(zeroPoint), [])], {
          to: dataTypeCode(codes.type),
        });
  const narrower = low > codes.low || high < codes.high;
  const integers = trace.blocked(x).chunks.map((chunk) => {
    const saturated = graph.add("QuantizeLinear", [chunk, step, zero]);
    if (!narrower) return saturated;
    const bounds = [low, high].map((bound) => graph.constant(codes.type, [], [bound]));
    return graph.add("Clip", [saturated, ...bounds]);
  });
  const chunks = integers.map((chunk) => graph.add("DequantizeLinear", [chunk, step, zero]));
  return trace.blockedResult(
    {
      chunks,
      codes: { chunks: integers, scale: step, ...(zeroPoint && { zeroPoint: zero }) },
    },
    output.shape,
    "float32",
  );
});

interface Clip {
  readonly steps: Info;
  /** The lowest and highest integer. */
  readonly low: number;
  readonly high: number;
  readonly zeroPoint?: Info;
}

/** clip(steps, low, high), or clip(steps, low - zeroPoint, high - zeroPoint) */
function clipOf(info: Info, context: BlockedContext): Clip | undefined {
  const { program } = context;
  const clip = program.producer(info, "ClipByValue");
  if (clip !== undefined) {
    const { clipValueMin: low = NaN, clipValueMax: high = NaN } = clip.attributes as Record<
      string,
      number
    >;
    return { steps: inputOf(clip, "x"), low, high };
  }
  const minimum = program.producer(info, "Minimum");
  const maximum = minimum && program.producer(inputOf(minimum, "a"), "Maximum");
  if (minimum === undefined || maximum === undefined) return undefined;
  const lowest = boundOf(inputOf(maximum, "b"), context);
  const highest = boundOf(inputOf(minimum, "b"), context);
  if (lowest?.zeroPoint.dataId !== highest?.zeroPoint.dataId || !lowest || !highest) {
    return undefined;
  }
  const { bound: low, zeroPoint } = lowest;
  return { steps: inputOf(maximum, "a"), low, high: highest.bound, zeroPoint };
}

/** A constant minus a zero point. */
function boundOf(info: Info, { program, trace }: BlockedContext) {
  const difference: Call | undefined = program.producer(info, "Sub");
  const { a, b } = difference?.inputs ?? {};
  const bound = a && trace.constantOf(a);
  return bound !== undefined && b && isScalar(b) ? { bound, zeroPoint: b } : undefined;
}

const isScalar = ({ shape }: Info): boolean => tf.util.sizeFromShape(shape) === 1;

const CODE_TYPES = [
  { type: "uint8", low: 0, high: 255 },
  { type: "int8", low: -128, high: 127 },
] as const;

function codeType(low: number, high: number): (typeof CODE_TYPES)[number] | undefined {
  if (!Number.isInteger(low) || !Number.isInteger(high)) return undefined;
  return CODE_TYPES.find((type) => low >= type.low && high <= type.high);
}
