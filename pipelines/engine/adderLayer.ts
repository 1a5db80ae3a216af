import * as tf from "#tf";

/** Sums of distances, in place of a convolution's sums of products, and the gradient of what they read. */
export const [ADDER, ADDER_INPUT_GRADIENT] = ["AdderConvolution", "AdderConvolutionInputGradient"];

export interface AdderAttributes {
  readonly strides: readonly [number, number];
}

/** Sizes of a layer: x is [count, height, width, channels], whole windows alone count. */
export interface AdderSizes {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly rows: number;
  readonly columns: number;
  readonly filters: number;
  readonly outHeight: number;
  readonly outWidth: number;
}

export function adderSizes(
  x: Pick<tf.TensorInfo, "shape">,
  filter: Pick<tf.TensorInfo, "shape">,
  { strides }: AdderAttributes,
): AdderSizes {
  const [count = 0, height = 0, width = 0, channels = 0] = x.shape;
  const [rows = 0, columns = 0, depth = 0, filters = 0] = filter.shape;
  if (depth !== channels)
    throw new RangeError(
      `adder filters of ${String(depth)} channels read ${String(channels)} channels`,
    );
  const outHeight = Math.floor((height - rows) / strides[0]) + 1;
  const outWidth = Math.floor((width - columns) / strides[1]) + 1;
  return { count, height, width, channels, rows, columns, filters, outHeight, outWidth };
}

/**
 * y = - sum |x - w| over windows.
 *
 * @param x [batch, height, width, channels], padded already
 * @param filter [rows, columns, channels, filters]
 */
export function adderDistances(
  x: tf.Tensor,
  filter: tf.Tensor,
  attributes: AdderAttributes,
): tf.Tensor {
  return tf.engine().runKernel(ADDER, { x, filter }, { ...attributes });
}

/** The gradient of x, by the difference w - x between -1 and 1 in place of its sign. */
export function adderInputGradient(
  { x, filter, dy }: Readonly<Record<"x" | "filter" | "dy", tf.Tensor>>,
  attributes: AdderAttributes,
): tf.Tensor {
  return tf.engine().runKernel(ADDER_INPUT_GRADIENT, { x, filter, dy }, { ...attributes });
}

/** Calls `visit` with the places in x, in the filter and in y of every distance. */
function forEachDistance(
  { count, height, width, channels, rows, columns, filters, outHeight, outWidth }: AdderSizes,
  { strides }: AdderAttributes,
  visit: (x: number, filter: number, y: number) => void,
): void {
  for (let pixel = 0; pixel < count * outHeight * outWidth; pixel++) {
    const image = Math.floor(pixel / (outHeight * outWidth));
    const top = (Math.floor(pixel / outWidth) % outHeight) * strides[0];
    const left = (pixel % outWidth) * strides[1];
    for (let tap = 0; tap < rows * columns; tap++) {
      const row = top + Math.floor(tap / columns);
      const at = ((image * height + row) * width + left + (tap % columns)) * channels;
      for (let channel = 0; channel < channels; channel++)
        for (let filter = 0; filter < filters; filter++)
          visit(
            at + channel,
            (tap * channels + channel) * filters + filter,
            pixel * filters + filter,
          );
    }
  }
}

/** Plain kernels for backends of tfjs that compute eagerly; other engines have their own. */
export function registerAdderKernels(backendName: "cpu" | "tensorflow"): void {
  const values = (backend: tf.KernelBackend, info: tf.TensorInfo) =>
    backend.readSync(info.dataId) as Float32Array;
  const result = (backend: tf.KernelBackend, data: Float64Array, shape: number[]) => ({
    dataId: backend.write(Float32Array.from(data), shape, "float32"),
    ...{ shape, dtype: "float32" as const },
  });
  tf.registerKernel({
    ...{ kernelName: ADDER, backendName },
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { x, filter } = inputs as Record<"x" | "filter", tf.TensorInfo>;
      const attributes = attrs as unknown as AdderAttributes;
      const sizes = adderSizes(x, filter, attributes);
      const [a, w] = [
        values(backend as tf.KernelBackend, x),
        values(backend as tf.KernelBackend, filter),
      ];
      const { count, outHeight, outWidth, filters } = sizes;
      const sums = new Float64Array(count * outHeight * outWidth * filters);
      forEachDistance(sizes, attributes, (from, by, to) => {
        sums[to] = (sums[to] ?? 0) - Math.abs((a[from] ?? NaN) - (w[by] ?? NaN));
      });
      return result(backend as tf.KernelBackend, sums, [count, outHeight, outWidth, filters]);
    },
  });
  tf.registerKernel({
    ...{ kernelName: ADDER_INPUT_GRADIENT, backendName },
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { x, filter, dy } = inputs as Record<"x" | "filter" | "dy", tf.TensorInfo>;
      const attributes = attrs as unknown as AdderAttributes;
      const [a, w, g] = [x, filter, dy].map((info) =>
        values(backend as tf.KernelBackend, info),
      ) as [Float32Array, Float32Array, Float32Array];
      const sums = new Float64Array(a.length);
      forEachDistance(adderSizes(x, filter, attributes), attributes, (from, by, to) => {
        const difference = (w[by] ?? NaN) - (a[from] ?? NaN);
        const clipped = Math.max(-1, Math.min(1, difference));
        sums[from] = (sums[from] ?? 0) + clipped * (g[to] ?? NaN);
      });
      return result(backend as tf.KernelBackend, sums, x.shape);
    },
  });
}

registerAdderKernels("cpu");
