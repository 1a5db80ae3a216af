import * as tf from "#tf";
import type { OperatorAttribute, TensorFlowBackend } from "./backend.js";

type ConvolutionInfo = tf.backend_util.Conv2DInfo;
type Size = number | [number, number];

/** What tfjs-core passes to the kernel of a convolution's gradient. */
interface Attributes {
  readonly strides: Size;
  readonly dilations?: Size;
  readonly pad: Parameters<typeof tf.backend_util.computeConv2DInfo>[4];
  readonly dimRoundingMode?: "floor" | "round" | "ceil";
  /** Of the gradient with respect to the input. */
  readonly inputShape?: [number, number, number, number];
  /** Of the gradient with respect to the filter. */
  readonly filterShape?: [number, number, number, number];
}

/**
 * The four gradients of convolutions on TensorFlow. tfjs-node refuses explicit padding in those of
 * plain convolutions and forgets it in those of depthwise ones, although TensorFlow's operators
 * take it.
 */
const GRADIENTS = [
  { kernel: tf.Conv2DBackpropInput, depthwise: false },
  { kernel: tf.Conv2DBackpropFilter, depthwise: false },
  { kernel: tf.DepthwiseConv2dNativeBackpropInput, depthwise: true },
  { kernel: tf.DepthwiseConv2dNativeBackpropFilter, depthwise: true },
] as const;

export function registerConvolutionGradients(): void {
  for (const { kernel, depthwise } of GRADIENTS) {
    tf.unregisterKernel(kernel, "tensorflow");
    tf.registerKernel({
      kernelName: kernel,
      backendName: "tensorflow",
      kernelFunc: ({ inputs, attrs, backend }) =>
        gradient(backend as TensorFlowBackend, {
          ...{ kernel, depthwise, inputs: inputs as Record<string, tf.TensorInfo> },
          attributes: attrs as unknown as Attributes,
        }),
    });
  }
}

function gradient(
  backend: TensorFlowBackend,
  call: {
    readonly kernel: string;
    readonly depthwise: boolean;
    readonly inputs: Readonly<Record<string, tf.TensorInfo>>;
    readonly attributes: Attributes;
  },
): tf.TensorInfo {
  const { kernel, depthwise, inputs, attributes } = call;
  const { x, dy, filter } = inputs;
  const inputShape = attributes.inputShape ?? (x?.shape as Attributes["inputShape"]);
  const filterShape = attributes.filterShape ?? (filter?.shape as Attributes["filterShape"]);
  if (!dy || !inputShape || !filterShape) throw new TypeError(`${kernel} lacks an input`);
  const info = tf.backend_util.computeConv2DInfo(
    ...([inputShape, filterShape, attributes.strides, attributes.dilations ?? 1] as const),
    ...([attributes.pad, attributes.dimRoundingMode, depthwise] as const),
  );
  // The gradient of one operand needs the other operand, and the shape of its own.
  const wanted = x === undefined ? inputShape : filterShape;
  const sizes = tf.tensor1d(wanted, "int32");
  const given = x === undefined ? [sizes, filter, dy] : [x, sizes, dy];
  const result = backend.executeSingleOutput(
    kernel,
    windowAttributes(backend, info),
    given as tf.TensorInfo[],
  );
  sizes.dispose();
  return result;
}

/** How the window moves, as TensorFlow's operators say it. */
function windowAttributes(
  { binding }: TensorFlowBackend,
  { strideHeight, strideWidth, dilationHeight, dilationWidth, padInfo }: ConvolutionInfo,
): OperatorAttribute[] {
  const integers = (name: string, value: readonly number[]) => ({
    ...{ name, type: binding.TF_ATTR_INT, value },
  });
  const text = (name: string, value: string) => ({ name, type: binding.TF_ATTR_STRING, value });
  const { type, top, bottom, left, right } = padInfo;
  const padding = type === "SAME" || type === "VALID" ? type : "EXPLICIT";
  return [
    { name: "T", type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT },
    integers("strides", [1, strideHeight, strideWidth, 1]),
    integers("dilations", [1, dilationHeight, dilationWidth, 1]),
    text("data_format", "NHWC"),
    text("padding", padding),
    ...(padding === "EXPLICIT"
      ? [integers("explicit_paddings", [0, 0, top, bottom, left, right, 0, 0])]
      : []),
  ];
}
