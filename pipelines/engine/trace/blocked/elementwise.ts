import * as tf from "#tf";
import { dataTypeCode } from "../../../onnx/index.js";
import { BINARY, UNARY } from "../elementwise.js";
import { lookUp } from "../shapes.js";
import type { Call } from "../program.js";
import type { BlockedImages } from "../images.js";
import { onnxType } from "../traceBackend.js";
import { inputOf, isImages, lowerBlocked, outputOf, type BlockedContext } from "./registry.js";

type Info = tf.TensorInfo;

/** Operators that may make infinity or NaN of the zeros that fill a block of channels. */
const NEEDS_WHOLE_BLOCKS: readonly string[] = ["Div", "Pow", "PRelu", "Log", "Reciprocal", "Sqrt"];

// What a ReLU gives is at least 0: gradients of unsigned quantizers ask in vain.
lowerBlocked("LogicalAnd", ({ inputs }, { trace, program }) => {
  const [a, b] = [inputs["a"], inputs["b"]];
  const asked = program.producer(a, "GreaterEqual");
  const relu = asked && program.producer(inputOf(asked, "a"), "Relu", "Relu6");
  if (!relu || !b || trace.constantOf(inputOf(asked, "b")) !== 0) return undefined;
  return trace.isBlocked(b) ? b : undefined;
});
/** The largest power of two in float32. */
const STEEP = 2 ** 127;

for (const [kernel, operator, dtype] of BINARY) {
  lowerBlocked(kernel, (call, context) => {
    const output = outputOf(call);
    return binary(context, operator, { ...call.inputs, output, dtype: dtype ?? output.dtype });
  });
}
lowerBlocked("SquaredDifference", (call, context) => {
  const output = outputOf(call);
  const difference = binary(context, "Sub", { ...call.inputs, output, dtype: "float32" });
  return difference && binary(context, "Mul", { a: difference, b: difference, output });
});
for (const [kernel, operator] of UNARY) {
  lowerBlocked(kernel, (call, context) =>
    unary(context, call, (x) => context.trace.graph.add(operator, [x]), operator),
  );
}
lowerBlocked("Square", (call, context) =>
  unary(context, call, (x) => context.trace.graph.add("Mul", [x, x])),
);
lowerBlocked("Cast", (call, context) =>
  unary(context, call, (x) =>
    context.trace.graph.add("Cast", [x], { to: dataTypeCode(onnxType(outputOf(call).dtype)) }),
  ),
);
lowerBlocked("Relu6", (call, context) => unary(context, call, clip(context, 0, 6)));
lowerBlocked("ClipByValue", (call, context) => {
  const { clipValueMin, clipValueMax } = call.attributes as Record<string, number>;
  return unary(context, call, clip(context, clipValueMin ?? 0, clipValueMax ?? 0));
});
lowerBlocked("Step", (call, context) => {
  const { alpha = 0 } = call.attributes as { alpha?: number };
  const { graph } = context.trace;
  const source = rectified(context, call) ?? inputOf(call, "x");
  return unary(context, { ...call, inputs: { x: source } }, (x) => {
    // clip(x * STEEP, 0, 1) in one pass: 1 for every positive number but the smallest denormals.
    const positive = graph.add("HardSigmoid", [x], {
      alpha: { float: STEEP },
      beta: { float: 0 },
    });
    if (alpha === 0) return positive;
    const scaled = graph.add("Mul", [positive, graph.scalar(1 - alpha)]);
    return graph.add("Add", [scaled, graph.scalar(alpha)]);
  });
});
lowerBlocked("Select", (call, context) => {
  const { trace } = context;
  const [condition, chosen, other] = [
    inputOf(call, "condition"),
    inputOf(call, "t"),
    inputOf(call, "e"),
  ];
  const output = outputOf(call);
  const parts = [condition, chosen, other];
  if (!isImages(output) || !trace.isBlocked(condition)) return undefined;
  if (!parts.every(({ shape }) => shape.join() === output.shape.join())) return undefined;
  const [masks, values, others] = parts.map((info) =>
    operandAs(context, placeOf(context, info, output.shape) ?? "images", info, output.shape),
  );
  if (masks === undefined || values === undefined || others === undefined) return undefined;
  const chunks = trace
    .blocked(condition)
    .chunks.map((mask, i) => trace.graph.add("Where", [mask, values.at(i), others.at(i)]));
  return trace.blockedResult({ chunks }, output.shape, output.dtype);
});

// A table read at each pixel: levels that are not uniform.
lowerBlocked("GatherV2", (call, { trace }) => {
  const [table, indices] = [inputOf(call, "x"), inputOf(call, "indices")];
  const { graph, images } = trace;
  const [size, ...others] = table.shape;
  if (others.length > 0 || size === undefined || !trace.isBlocked(indices)) return undefined;
  const bounds = [0, size - 1].map((bound) => graph.constant("int32", [], [bound]));
  const chunks = trace.blocked(indices).chunks.map((chunk) => {
    // What fills blocks of channels may point anywhere.
    const inside = isFilled(images, indices.shape) ? chunk : graph.add("Clip", [chunk, ...bounds]);
    return lookUp(graph, trace.plain(table), inside, images.declared(indices.shape));
  });
  return trace.blockedResult({ chunks }, outputOf(call).shape, table.dtype);
});

/**
 * Gradients ask for the sign of what a ReLU reads. Its result has the same sign where it is
 * positive, and exists anyway, while its input may be fused away.
 */
function rectified({ program, trace }: BlockedContext, call: Call): Info | undefined {
  const relu = program
    .users(inputOf(call, "x"))
    .find(({ kernel }) => kernel === "Relu" || kernel === "Relu6");
  const output = relu?.outputs[0];
  return output !== undefined && trace.isKnown(output) ? output : undefined;
}

function clip({ trace: { graph } }: BlockedContext, low: number, high: number) {
  return (x: string): string => graph.add("Clip", [x, graph.scalar(low), graph.scalar(high)]);
}

function unary(
  { trace }: BlockedContext,
  call: Call,
  compute: (chunk: string) => string,
  operator?: string,
): Info | undefined {
  const x = inputOf(call, "x");
  if (!isImages(x) || !trace.isBlocked(x)) return undefined;
  if (operator !== undefined && mayBreak(trace.images, operator, x.shape)) return undefined;
  const chunks = trace.blocked(x).chunks.map(compute);
  return trace.blockedResult({ chunks }, outputOf(call).shape, outputOf(call).dtype);
}

const mayBreak = (images: BlockedImages, operator: string, shape: readonly number[]): boolean =>
  NEEDS_WHOLE_BLOCKS.includes(operator) && !isFilled(images, shape);

/** Whether all channels of a chunk are those of images. */
const isFilled = (images: BlockedImages, shape: readonly number[]): boolean =>
  images.form(shape).channels === shape[3];

/** How an operand meets images: as a function of the chunk to a name. */
interface Operand {
  readonly kind: "images" | "scalar" | "channels" | "pixels";
  readonly at: (chunk: number) => string;
}

function binary(
  context: BlockedContext,
  operator: string,
  { a, b, output, dtype = output.dtype }: { a?: Info; b?: Info; output: Info; dtype?: tf.DataType },
): Info | undefined {
  const { trace } = context;
  if (a === undefined || b === undefined || !isImages({ ...output, dtype: "float32" })) {
    return undefined;
  }
  const places = [a, b].map((info) => placeOf(context, info, output.shape));
  const [first, second] = places;
  if (first === undefined || second === undefined) return undefined;
  const anchored = [a, b].some((info, i) => places[i] === "images" && trace.isBlocked(info));
  if (!anchored && !(places.includes("filled") && places.includes("pixels"))) return undefined;
  const safe = operator === "Div" && (second === "scalar" || second === "filled");
  if (!safe && mayBreak(trace.images, operator, output.shape)) return undefined;
  const operands = [
    operandAs(context, first, a, output.shape),
    operandAs(context, second, b, output.shape),
  ] as const;
  const vector = operands.some(({ kind }) => kind === "channels");
  const { images } = trace;
  const shape = images.declared(output.shape);
  const chunks = Array.from({ length: images.chunkCount(output.shape) }, (_, i) => {
    const names = operands.map(({ kind, at }) => {
      const name = at(i);
      return vector && kind === "images" ? images.reshape(name, [shape[0] ?? 1, -1]) : name;
    });
    const value = trace.graph.add(operator, names);
    return vector ? images.reshape(value, shape) : value;
  });
  return trace.blockedResult({ chunks }, output.shape, dtype);
}

type Place = "images" | "scalar" | "channels" | "pixels" | "filled";

/** What an operand is to images of a shape; nothing when it fits none. */
function placeOf(
  { program }: BlockedContext,
  { shape, dataId, dtype }: Info,
  images: readonly number[],
): Place | undefined {
  const size = tf.util.sizeFromShape(shape);
  const [batch = 1, , , channels = 1] = images;
  if (size === 1) return "scalar";
  if (shape.join() === images.join()) {
    return program.producer({ shape, dataId, dtype }, "Fill", "OnesLike", "ZerosLike")
      ? "filled"
      : "images";
  }
  if (size === channels && shape.at(-1) === channels) return "channels";
  if (shape.length === 4 && shape.join() === [batch, 1, 1, channels].join()) return "pixels";
  return undefined;
}

function operandAs(
  { trace, program }: BlockedContext,
  place: Place,
  info: Info,
  shape: readonly number[],
): Operand {
  const { graph, images } = trace;
  switch (place) {
    case "images": {
      const { chunks } = trace.blocked(info);
      return { kind: "images", at: (i) => chunks[i] ?? "" };
    }
    case "scalar": {
      const name = images.reshape(trace.plain(info), []);
      return { kind: "scalar", at: () => name };
    }
    case "filled": {
      const call = program.producer(info, "Fill", "OnesLike", "ZerosLike");
      const value =
        call?.kernel === "Fill" ? call.attributes["value"] : Number(call?.kernel === "OnesLike");
      const name = graph.constant(onnxType(info.dtype), [], [Number(value)]);
      return { kind: "scalar", at: () => name };
    }
    case "channels": {
      const name = expandedChannels(trace, info, shape);
      return { kind: "channels", at: () => name };
    }
    case "pixels": {
      const chunks = images.grouped(trace.blocked(info).chunks, info.shape, {
        group: images.form(info.shape).together,
        chunks: images.chunkCount(shape),
      });
      const [, h = 1, w = 1] = shape;
      const { block } = images.options;
      const declared = images.declared(shape);
      const [size = 1, padded = 1] = declared;
      return {
        kind: "pixels",
        at(i) {
          const narrow = images.reshape(chunks[i] ?? "", [size, padded / block, 1, block]);
          const wide = graph.add("Expand", [
            narrow,
            graph.integers([size, padded / block, h * w, block]),
          ]);
          return images.reshape(wide, declared);
        },
      };
    }
    default:
      return place satisfies never;
  }
}

/** A value for each channel, repeated for each pixel of an image: broadcast only over images. */
function expandedChannels(
  trace: BlockedContext["trace"],
  info: Info,
  shape: readonly number[],
): string {
  const { graph, images } = trace;
  const { block } = images.options;
  const [, h = 1, w = 1] = shape;
  const vector = images.channelVector(trace.plain(info), shape);
  const blocks = images.lanes(shape) / block;
  const wide = graph.add("Expand", [
    images.reshape(vector, [blocks, 1, block]),
    graph.integers([blocks, h * w, block]),
  ]);
  return images.reshape(wide, [1, -1]);
}
