import * as tf from "#tf";

/** What tfjs knows of a convolution: sizes, strides, dilations and padding. */
export type ConvolutionInfo = tf.backend_util.Conv2DInfo;

export interface ConvolutionAttributes {
  readonly strides: [number, number] | number;
  readonly pad: "valid" | "same" | number | tf.backend_util.ExplicitPadding;
  readonly dataFormat?: "NHWC" | "NCHW";
  readonly dilations?: [number, number] | number;
  readonly dimRoundingMode?: "floor" | "round" | "ceil";
}

export function convolutionInfo(
  inputShape: readonly number[],
  filterShape: readonly number[],
  attributes: ConvolutionAttributes,
  depthwise: boolean,
): ConvolutionInfo {
  const { strides, pad, dilations = 1, dimRoundingMode, dataFormat = "NHWC" } = attributes;
  if (dataFormat !== "NHWC") throw new RangeError(`convolutions take NHWC, got ${dataFormat}`);
  return tf.backend_util.computeConv2DInfo(
    inputShape as [number, number, number, number],
    filterShape as [number, number, number, number],
    strides,
    dilations,
    pad,
    dimRoundingMode,
    depthwise,
  );
}

export const pads = ({ padInfo: { top, left, bottom, right } }: ConvolutionInfo): number[] => [
  top,
  left,
  bottom,
  right,
];
