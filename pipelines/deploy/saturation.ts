import * as ort from "../onnxruntime.js";
import { OnnxGraph } from "../onnx/index.js";
import { sessionOptions, type Kernels } from "../session.js";

/** What onnxruntime's kernels for 8-bit integers do on this processor. */
export interface Saturation {
  /** Whether sums of u8·s8 products are wrong where they are large, as runtimes come. */
  readonly saturates: boolean;
  /** Whether the precise kernels compute them right. */
  readonly preciseIsRight: boolean;
  /** Said by QUANTBENCH_SATURATION instead of found out. */
  readonly forced: boolean;
}

/** For tests of what follows from the answer, on processors that give the other one. */
const FORCED_BY = "QUANTBENCH_SATURATION";
const ANSWERS = { yes: true, no: false } as const;

let probed: Promise<Saturation> | undefined;

/**
 * Finds out whether 8-bit kernels saturate here: x86 processors without VNNI add pairs of products
 * in 16 bits (VPMADDUBSW), which 255 · 127 twice does not fit.
 *
 * @throws RangeError when QUANTBENCH_SATURATION says neither "yes" nor "no"
 */
export function probeSaturation(): Promise<Saturation> {
  probed ??= probe();
  return probed;
}

async function probe(): Promise<Saturation> {
  const forced = forcedAnswer();
  const [shipped, precise] = [await largestSum("shipped"), await largestSum("preciseUnsigned")];
  return {
    saturates: forced ?? shipped !== RIGHT,
    preciseIsRight: precise === RIGHT,
    forced: forced !== undefined,
  };
}

function forcedAnswer(): boolean | undefined {
  const said = process.env[FORCED_BY] ?? "";
  if (said === "") return undefined;
  if (said in ANSWERS) return ANSWERS[said as keyof typeof ANSWERS];
  throw new RangeError(`${FORCED_BY} is "${said}"; it may be ${Object.keys(ANSWERS).join(" or ")}`);
}

/** Products of the largest integers of both types: 144 · 255 · 127 = 4,663,440. */
const CHANNELS = 16;
const WINDOW = 3;
const [LARGEST_INPUT, LARGEST_WEIGHT] = [255, 127];
/** So that the sum is 233.17 steps of the result; pairs that stop at 32767 make it 117.96. */
const STEP = 20_000;
const VALUES = CHANNELS * WINDOW * WINDOW;
const RIGHT = Math.round((VALUES * LARGEST_INPUT * LARGEST_WEIGHT) / STEP);

/** One convolution as networks are exported: quantizers around a float one, which the runtime fuses. */
async function largestSum(kernels: Kernels): Promise<number | undefined> {
  const graph = new OnnxGraph();
  const shape = [1, CHANNELS, WINDOW, WINDOW];
  const filters = [CHANNELS, CHANNELS, WINDOW, WINDOW];
  const [one, step] = [graph.scalar(1), graph.scalar(STEP)];
  const zero = graph.constant("uint8", [], [0]);
  const around = (x: string, scale: string) =>
    graph.add("DequantizeLinear", [graph.add("QuantizeLinear", [x, scale, zero]), scale, zero]);
  const codes = new Int8Array(filters.reduce((a, b) => a * b, 1)).fill(LARGEST_WEIGHT);
  const weights = graph.add("DequantizeLinear", [
    graph.constant("int8", filters, codes),
    one,
    graph.constant("int8", [], [0], "weights' zero point"),
  ]);
  const image = around(graph.input("image", "float32", shape), one);
  const sum = graph.add("Conv", [image, weights], { kernel_shape: [WINDOW, WINDOW] });
  graph.output("steps", around(sum, step), "float32", [1, CHANNELS, 1, 1]);
  const session = await ort.InferenceSession.create(
    graph.toBytes("largest sum"),
    sessionOptions(kernels),
  );
  try {
    const values = new Float32Array(VALUES).fill(LARGEST_INPUT);
    const { steps } = await session.run({ image: new ort.Tensor("float32", values, shape) });
    const [first] = (steps?.data ?? []) as Float32Array;
    return first === undefined ? undefined : first / STEP;
  } finally {
    await session.release();
  }
}
