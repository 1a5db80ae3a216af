import type { Attributes } from "../../../onnx/index.js";
import type { Operation } from "../operation.js";

/** What has weights: convolutions and dense layers. */
export const layers = {
  CONV_2D(operation: Operation): void {
    const [channels = -1, ofGroup = -1] = [operation.shape(0).at(3), operation.shape(1).at(3)];
    convolution(operation, {
      weights: operation.add("Transpose", [operation.input(1)], { perm: [0, 3, 1, 2] }),
      group: channels > ofGroup && channels % ofGroup === 0 ? channels / ofGroup : 1,
      fused: operation.byte(3),
      dilations: [operation.int(5, 1), operation.int(4, 1)],
    });
  },

  DEPTHWISE_CONV_2D(operation: Operation): void {
    const channels = operation.shape(0).at(3) ?? -1;
    if (channels < 1) operation.fail("reads an image whose number of channels is open");
    convolution(operation, {
      // [1, rows, columns, channels x multiplier]
      weights: operation.add("Transpose", [operation.input(1)], { perm: [3, 0, 1, 2] }),
      group: channels,
      fused: operation.byte(4),
      dilations: [operation.int(6, 1), operation.int(5, 1)],
    });
  },

  FULLY_CONNECTED(operation: Operation): void {
    if (operation.byte(1) !== 0) operation.fail("has its weights in an order for one processor");
    const [, inputs = -1] = operation.shape(1);
    const keepsAxes = operation.flag(2);
    const vectors =
      keepsAxes || operation.shape(0).length === 2
        ? operation.input(0)
        : operation.add("Reshape", [operation.input(0), operation.listed([-1, inputs])]);
    const given = [vectors, operation.input(1), operation.input(2)];
    operation.giveActivated(operation.byte(0), "Gemm", given, { transB: 1 });
  },

  TRANSPOSE_CONV(operation: Operation): void {
    const [, rows = 1, columns = 1] = operation.shape(1);
    const [, fromHeight = 0, fromWidth = 0] = operation.shape(2);
    const strides = [operation.int(2), operation.int(1)];
    // Where the network computes the size (Keras does, for an open batch), the file says what comes out.
    const [, height = 0, width = 0] = operation.isConstant(0)
      ? operation.integers(0)
      : operation.outputShape;
    const along = (from: number, to: number, size: number, stride: number) => {
      const reach = (from - 1) * stride + size;
      const missing = operation.byte(0) === 0 ? Math.max(0, reach - to) : 0;
      return {
        before: Math.floor(missing / 2),
        after: Math.ceil(missing / 2),
        behind: to - reach + missing,
      };
    };
    const down = along(fromHeight, height, rows, strides[0] ?? 1);
    const across = along(fromWidth, width, columns, strides[1] ?? 1);
    const attributes = {
      strides,
      pads: [down.before, across.before, down.after, across.after],
      output_padding: [down.behind, across.behind],
    };
    if (Math.min(down.behind, across.behind) < 0 || fromHeight < 1 || fromWidth < 1)
      operation.fail(
        `makes [${String(height)},${String(width)}] of [${String(fromHeight)},${String(fromWidth)}]`,
      );
    // [filters, rows, columns, channels]
    const weights = operation.add("Transpose", [operation.input(1)], { perm: [3, 0, 1, 2] });
    const inputs = [operation.channelsFirst(2), weights, operation.input(3)];
    operation.giveImage(operation.byte(3), "ConvTranspose", inputs, attributes);
  },
};

interface Convolution {
  /** With channels first. */
  readonly weights: string;
  readonly group: number;
  readonly fused: number;
  readonly dilations: readonly number[];
}

function convolution(
  operation: Operation,
  { weights, group, fused, dilations }: Convolution,
): void {
  const inputs = [operation.channelsFirst(0), weights, operation.input(2)];
  const attributes = { ...windowOf(operation), group, dilations };
  operation.giveImage(fused, "Conv", inputs, attributes);
}

/** Padding and strides, which all operators over windows have in the same fields. */
export function windowOf(operation: Operation): Attributes {
  return {
    auto_pad: operation.byte(0) === 0 ? "SAME_UPPER" : "VALID",
    strides: [operation.int(2), operation.int(1)],
  };
}
