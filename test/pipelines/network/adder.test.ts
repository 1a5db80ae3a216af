import * as tf from "#tf";
import { describe, expect, test } from "vitest";
import type { Network } from "../../../algorithms/network.js";
import { float32, loadEngine } from "../../../pipelines/engine/index.js";
import { forward, initialParameters, parameterSpecs } from "../../../pipelines/network/index.js";
import { adderFilterGradient, adderLayer } from "../../../pipelines/network/float/adder.js";
import { normalValues } from "../../support.js";

const network: Network = {
  nodes: [
    { op: "input", name: "image", shape: [5, 6, 2] },
    {
      ...{ op: "float", name: "adder", inputs: ["image"] },
      operation: { kind: "adder", filters: 3, size: 3, stride: [2, 1] },
    },
  ],
};
const [height, width, channels, filters, batch] = [5, 6, 2, 3, 2];
const x = normalValues(batch * height * width * channels, 1);
const w = normalValues(9 * channels * filters, 2);
const dy = normalValues(batch * 3 * 6 * filters, 3);

/** The places of all distances in float64, straight from the definition: -1 where padding is read. */
function* distances() {
  for (let image = 0; image < batch; image++)
    for (let row = 0; row < 3; row++)
      for (let column = 0; column < 6; column++)
        for (let filter = 0; filter < filters; filter++)
          for (let i = 0; i < 9 * channels; i++) {
            const [tap, channel] = [Math.floor(i / channels), i % channels];
            const [top, left] = [2 * row - 1 + Math.floor(tap / 3), column - 1 + (tap % 3)];
            const isInside = top >= 0 && top < height && left >= 0 && left < width;
            yield {
              at: isInside ? ((image * height + top) * width + left) * channels + channel : -1,
              by: i * filters + filter,
              to: ((image * 3 + row) * 6 + column) * filters + filter,
            };
          }
}
const valueAt = (at: number) => (at < 0 ? 0 : (x[at] ?? NaN));

function expected() {
  const y = new Float64Array(dy.length);
  const dx = new Float64Array(x.length);
  const dw = new Float64Array(w.length);
  for (const { at, by, to } of distances()) {
    const difference = valueAt(at) - (w[by] ?? NaN);
    const gradient = dy[to] ?? NaN;
    y[to] = (y[to] ?? 0) - Math.abs(difference);
    dw[by] = (dw[by] ?? 0) + gradient * difference;
    if (at >= 0) dx[at] = (dx[at] ?? 0) + gradient * Math.max(-1, Math.min(1, -difference));
  }
  const norm = Math.sqrt(dw.reduce((sum, value) => sum + value * value, 0));
  return { y, dx, dw, rescaled: dw.map((value) => (0.2 * Math.sqrt(dw.length) * value) / norm) };
}

const close = (actual: ArrayLike<number>, wanted: Float64Array) => {
  expect(actual).toHaveLength(wanted.length);
  Array.from(actual).forEach((value, i) => {
    expect(value).toBeCloseTo(wanted[i] ?? NaN, 4);
  });
};

const inputs = {
  x: float32(Float32Array.from(x), [batch, height, width, channels]),
  w: float32(Float32Array.from(w), [3, 3, channels, filters]),
  dy: float32(Float32Array.from(dy), [batch, 3, 6, filters]),
};

describe.each(["portable", "onnxruntime"] as const)("an adder layer on %s", (name) => {
  test("gives negative distances, and AdderNet's gradients", async () => {
    const engine = await loadEngine(name);
    const layer = (image: tf.Tensor, kernel: tf.Tensor) =>
      forward(network, image, {
        parameters: { "adder/kernel": kernel },
        training: true,
        quantize: (_, tensor) => tensor,
      }).logits;
    const compiled = await engine.compile(({ x: image, w: kernel, dy: given }) => {
      const [dx, dw] = tf.grads((a: tf.Tensor, b: tf.Tensor) =>
        tf.sum(tf.mul(layer(a, b), given as tf.Tensor)),
      )([image as tf.Tensor, kernel as tf.Tensor]);
      return {
        y: layer(image as tf.Tensor, kernel as tf.Tensor),
        dx: dx as tf.Tensor,
        dw: dw as tf.Tensor,
      };
    }, inputs);
    const found = await compiled.run(inputs);
    await compiled.release();
    const wanted = expected();
    close(found["y"]?.data ?? [], wanted.y);
    close(found["dx"]?.data ?? [], wanted.dx);
    close(found["dw"]?.data ?? [], wanted.rescaled);
    // P3: the norm of a layer's gradient.
    const sizeOf = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
    const norm = sizeOf(Float32Array.from(found["dw"]?.data ?? []));
    expect(norm).toBeCloseTo(0.2 * Math.sqrt(w.length), 4);
    // P2: never above 0.
    expect(Math.max(...(found["y"]?.data ?? []))).toBeLessThan(0);
  });
});

describe("P2", () => {
  test("a window that equals a filter gives 0", async () => {
    await tf.setBackend("cpu");
    const image = tf.tensor4d(normalValues(9 * channels, 4), [1, 3, 3, channels]);
    const kernel = tf.reshape(image, [3, 3, channels, 1]);
    expect(adderLayer(image, kernel, [1, 1]).dataSync()[0]).toBe(0);
  });

  test("the numerical derivative is the sign of w - x; training clips the difference", async () => {
    await tf.setBackend("cpu");
    const values = [0.3, -1.7, 0.9, 2.4];
    const weights = [0.5, 0.2, -3, 2.2];
    const at = (entries: number[]) => tf.tensor4d(entries, [1, 1, 1, 4]);
    const kernel = tf.tensor4d(weights, [1, 1, 4, 1]);
    const y = (entries: number[]) => adderLayer(at(entries), kernel, [1, 1]).dataSync()[0] ?? NaN;
    const step = 2 ** -7;
    const slopes = values.map((_, i) => {
      const moved = (by: number) => values.map((value, j) => (i === j ? value + by : value));
      return (y(moved(step)) - y(moved(-step))) / (2 * step);
    });
    slopes.forEach((slope, i) => {
      expect(slope).toBeCloseTo(Math.sign((weights[i] ?? NaN) - (values[i] ?? NaN)), 4);
    });
    const gradient = tf.grad((image) => adderLayer(image, kernel, [1, 1]))(at(values));
    [0.2, 1, -1, -0.2].forEach((clipped, i) => {
      expect(gradient.dataSync()[i]).toBeCloseTo(clipped, 5);
    });
  });

  test("the gradient of filters is the whole difference, before it is rescaled", async () => {
    await tf.setBackend("cpu");
    const one = tf.tensor4d([0.3, -1.7], [1, 1, 1, 2]);
    const kernel = tf.tensor4d([0.5, 2.2], [1, 1, 2, 1]);
    const gradient = adderFilterGradient(
      { x: one, filter: kernel, dy: tf.tensor4d([2], [1, 1, 1, 1]) },
      [1, 1],
    );
    close(gradient.dataSync(), Float64Array.of(-0.4, -7.8));
  });
});

test("filters start at random, as kernels, with a variance of 1", () => {
  const wide: Network = {
    nodes: network.nodes.map((node) =>
      node.op === "float" && node.operation.kind === "adder"
        ? { ...node, operation: { ...node.operation, filters: 500 } }
        : node,
    ),
  };
  expect(parameterSpecs(wide).get("adder/kernel")?.group).toBe("kernel");
  const data = Float32Array.from(initialParameters(wide, 0)["adder/kernel"]?.data ?? []);
  const variance = data.reduce((sum, value) => sum + value * value, 0) / data.length;
  expect(variance).toBeCloseTo(1, 1);
});
