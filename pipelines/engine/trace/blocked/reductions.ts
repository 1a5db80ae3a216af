import * as tf from "#tf";
import type { Call } from "../program.js";
import { inputOf, isImages, lowerBlocked, outputOf, type BlockedContext } from "./registry.js";

type Info = tf.TensorInfo;

for (const kernel of ["Sum", "Mean"]) {
  lowerBlocked(kernel, (call, context) => {
    const { trace } = context;
    const x = inputOf(call, "x");
    if (!isImages(x) || x.dtype !== "float32") return undefined;
    const axes = reducedAxes(call, x);
    const factor =
      kernel === "Mean"
        ? 1 / axes.reduce((count, axis) => count * (x.shape[axis] ?? 1), 1)
        : undefined;
    const sum = sumOver(axes.join(), x, call, context);
    if (sum === undefined) return undefined;
    const scaled =
      factor === undefined ? sum : trace.graph.add("Mul", [sum, trace.graph.scalar(factor)]);
    return trace.result(
      trace.images.reshape(scaled, outputOf(call).shape),
      outputOf(call).shape,
      "float32",
    );
  });
}

function reducedAxes({ attributes }: Call, x: Info): number[] {
  const { axis } = attributes as { axis?: number | number[] };
  return tf.util.parseAxisParam(axis ?? x.shape.map((_, i) => i), x.shape).sort((a, b) => a - b);
}

/** @returns the name of the sums, in row-major order of what is left */
function sumOver(axes: string, x: Info, call: Call, context: BlockedContext): string | undefined {
  const { trace } = context;
  const { graph, images } = trace;
  const [batch = 1, h = 1, w = 1, c = 1] = x.shape;
  if (axes === "1,2" && trace.isBlocked(x)) {
    const means = trace
      .blocked(x)
      .chunks.map((chunk) => graph.add("com.microsoft.nchwc:GlobalAveragePool", [chunk]));
    const { channels } = images.form(x.shape);
    const all = images.reshape(images.joined(means), [batch, channels]);
    const perImage = images.cutAxis(all, 1, c, channels);
    return graph.add("Mul", [perImage, graph.scalar(h * w)]);
  }
  if (axes !== "0,1,2" && axes !== "0,1,2,3") return undefined;
  const perChannel = sumOfProducts(x, call, context) ?? sumOfImages(x, context);
  if (perChannel === undefined) return undefined;
  const channels = images.cutAxis(perChannel, 0, c, images.form(x.shape).channels);
  return axes === "0,1,2"
    ? channels
    : graph.add("ReduceSum", [channels, graph.integers([0])], { keepdims: 0 });
}

/** Averages of each image, summed by a product with a row: ReduceSum takes many times as long. */
function sumOfImages(x: Info, { trace }: BlockedContext): string | undefined {
  if (!trace.isBlocked(x)) return undefined;
  const { images, graph } = trace;
  const [batch = 1, h = 1, w = 1] = x.shape;
  const means = trace
    .blocked(x)
    .chunks.map((chunk) => graph.add("com.microsoft.nchwc:GlobalAveragePool", [chunk]));
  const perImage = images.reshape(images.joined(means), [batch, images.form(x.shape).channels]);
  return images.reshape(graph.add("MatMul", [row(trace, batch, h * w), perImage]), [-1]);
}

/**
 * The sum of a product without the product: the second operand becomes the filter of a depthwise
 * convolution that covers the first, each image's channels being channels of one large image.
 */
function sumOfProducts(x: Info, call: Call, context: BlockedContext): string | undefined {
  const { trace, program } = context;
  const { images, graph } = trace;
  const product = program.producer(x, "Multiply", "Square");
  if (product === undefined || !program.feedsOnly(x, call)) return undefined;
  const a = product.inputs["a"] ?? inputOf(product, "x");
  const b = product.inputs["b"] ?? a;
  if (![a, b].every((operand) => operand.shape.join() === x.shape.join())) return undefined;
  if (![a, b].some((operand) => trace.isBlocked(operand))) return undefined;
  const [batch = 1, h = 1, w = 1] = x.shape;
  const { channels: perImageChannels } = images.form(x.shape);
  const second = trace.blocked(b).chunks;
  const channels = (batch / second.length) * perImageChannels;
  const dots = trace
    .blocked(a)
    .chunks.map((chunk, i) =>
      images.convolve(
        [
          images.reshape(chunk, [1, channels, h, w]),
          images.reshape(second[i] ?? "", [channels, 1, h, w]),
        ],
        { kernel: [h, w], group: channels },
      ),
    );
  const perImage = images.reshape(images.joined(dots, 1), [batch, perImageChannels]);
  return images.reshape(graph.add("MatMul", [row(trace, batch, 1), perImage]), [-1]);
}

/** The sum of a value of each chunk, in their order. */
export function summed({ graph }: BlockedContext["trace"], parts: readonly string[]): string {
  const [first = "", ...rest] = parts;
  return rest.reduce((sum, part) => graph.add("Add", [sum, part]), first);
}

/** [1, count] */
export function row({ graph }: BlockedContext["trace"], count: number, value: number): string {
  return graph.constant("float32", [1, count], new Float32Array(count).fill(value));
}
