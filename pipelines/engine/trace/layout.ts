/**
 * How the elements of a traced tensor lie in memory. tfjs tensors are logically NHWC ("plain",
 * row-major); onnxruntime's convolutions want NCHW ("channelsFirst", rank 4 only). A further
 * layout is a name here, its conversion in TraceBackend, and the kernels that profit from it.
 */
export type Layout = "plain" | "channelsFirst";

/** NHWC <-> NCHW: permutations for Transpose, and where each NHWC axis went. */
export const CHANNELS_FIRST = {
  fromPlain: [0, 3, 1, 2],
  toPlain: [0, 2, 3, 1],
  /** Index: axis in NHWC; value: its place in NCHW. */
  axis: [0, 2, 3, 1],
  shape: ([n = 1, h = 1, w = 1, c = 1]: readonly number[]): number[] => [n, c, h, w],
} as const;

/** Whether NHWC and NCHW keep the elements in the same order, so that Reshape converts. */
export function isTrivial([, h = 1, w = 1, c = 1]: readonly number[]): boolean {
  return c === 1 || h * w === 1;
}
