// The blocked lowering fuses, cuts and reorders what a step computes: whole pieces of networks, with
// their gradients, against tfjs's plain JavaScript backend and against the standard lowering.
import * as tf from "#tf";
import { describe, expect, test } from "vitest";
import { fakeQuantize } from "../../../algorithms/affine.js";
import { lsq } from "../../../algorithms/lsq.js";
import { academic } from "../../../backends/academic.js";
import { preparedTraining, runningTraining } from "../../../benchmarks/measuring/index.js";
import { mobileNetV2, resnet8 } from "../../../benchmarks/models/index.js";
import { onnxruntimeEngine } from "../../../pipelines/engine/onnxruntime.js";
import { STANDARD } from "../../../pipelines/engine/trace/lowering.js";
import {
  float32,
  loadEngine,
  sizeOf,
  type Engine,
  type HostTensors,
  type StepTensors,
} from "../../../pipelines/engine/index.js";
import { probeBlocked } from "../../../pipelines/engine/probe.js";
import { normalizeByBatch } from "../../../pipelines/network/index.js";
import type { Training } from "../../../pipelines/train/index.js";
import { toyDataset } from "../../support.js";
import { values } from "./kernelCases.js";

const dataset = toyDataset(64);
const quantized = { algorithm: lsq, backend: academic, bits: 4 };
const probed = await probeBlocked();
const plain = await loadEngine("tfjs");
const standard = await loadEngine("onnxruntime", "standard");
/** Chunks of 16 images, or of 32 where images are small, so that small batches have several. */
const chunkBytes = 60_000;
const blocked = probed && onnxruntimeEngine({ name: "blocked", ...probed, chunkBytes });

describe.skipIf(blocked === undefined)("on blocked images", () => {
  const engine = blocked ?? standard;

  const padded =
    (compute: typeof tf.conv2d | typeof tf.depthwiseConv2d) =>
    (x: tf.Tensor, w: tf.Tensor, stride = 1): tf.Tensor => {
      const [size = 1] = w.shape as number[];
      const pad = (size - 1) / 2;
      const padding: tf.backend_util.ExplicitPadding = [
        [0, 0],
        [pad, pad],
        [pad, pad],
        [0, 0],
      ];
      return compute(x as tf.Tensor4D, w as tf.Tensor4D, stride, padding);
    };
  const convolve = padded(tf.conv2d);
  const depthwise = padded(tf.depthwiseConv2d);

  // [images, side, channels, filters, kernel, stride]: whole, shared and broken blocks, chunks, sizes.
  test.each([
    [32, 6, 16, 32, 3, 1],
    [48, 6, 16, 16, 3, 2],
    [5, 7, 24, 8, 3, 1],
    [3, 7, 20, 20, 3, 2],
    [32, 6, 8, 24, 1, 1],
    [16, 6, 32, 16, 1, 2],
    [2, 5, 16, 16, 1, 2],
    [18, 6, 1, 16, 3, 1],
    [16, 6, 17, 3, 5, 1],
    [32, 12, 8, 8, 3, 1],
    [48, 12, 8, 16, 3, 2],
    [32, 16, 16, 8, 3, 1],
    [64, 6, 6, 4, 3, 2],
    [32, 6, 4, 36, 1, 1],
    [6, 6, 8, 24, 1, 2],
    [32, 14, 1, 8, 3, 1],
    [20, 20, 16, 16, 3, 1],
  ])(
    "convolution of %i images %i wide, %i to %i channels, kernel %i, stride %i",
    async (n, side, c, o, k, stride) => {
      await compareWithPlain(
        engine,
        [
          [n, side, side, c],
          [1, 1, c, c],
          [k, k, c, o],
        ],
        (x, mix, w) =>
          convolve(
            c > 1
              ? convolve(x as tf.Tensor, mix as tf.Tensor)
              : tf.mul(x as tf.Tensor, tf.reshape(mix as tf.Tensor, [])),
            w as tf.Tensor,
            stride,
          ),
      );
    },
  );

  test.each([
    [32, 6, 16, 3, 1],
    [32, 6, 24, 3, 2],
    [5, 7, 20, 5, 1],
    [3, 7, 16, 3, 2],
    [32, 6, 8, 3, 1],
    [32, 6, 3, 3, 2],
    [64, 8, 4, 5, 2],
  ])(
    "depthwise convolution of %i images %i wide, %i channels, kernel %i, stride %i",
    async (n, side, c, k, stride) => {
      await compareWithPlain(
        engine,
        [
          [n, side, side, c],
          [1, 1, c, c],
          [k, k, c, 1],
        ],
        (x, mix, w) =>
          depthwise(convolve(x as tf.Tensor, mix as tf.Tensor), w as tf.Tensor, stride),
      );
    },
  );

  test("convolution of images of three channels, their sides swapped for the gradient", async () => {
    await compareWithPlain(
      engine,
      [
        [32, 8, 8, 3],
        [3, 3, 3, 8],
        [3, 3, 8, 3],
      ],
      (x, w, back) => convolve(convolve(x as tf.Tensor, w as tf.Tensor), back as tf.Tensor, 2),
    );
  });

  test.each([16, 6])("a gradient that two convolutions of %i channels add to", async (channels) => {
    await compareWithPlain(
      engine,
      [
        [32, 6, 6, channels],
        [1, 1, channels, channels],
        [3, 3, channels, channels],
      ],
      (x, mix, w) => {
        const h = tf.sigmoid(convolve(x as tf.Tensor, mix as tf.Tensor));
        return tf.add(convolve(h, w as tf.Tensor), convolve(tf.mul(h, h), mix as tf.Tensor));
      },
    );
  });

  test.each([20, 8])(
    "batch norm of %i channels, residual and ReLU in one pass",
    async (channels) => {
      await compareWithPlain(
        engine,
        [[32, 5, 5, channels], [3, 3, channels, channels], [channels], [channels]],
        (x, w, gamma, beta) => {
          const moving = { mean: tf.zeros([channels]), variance: tf.ones([channels]) };
          const first = convolve(x as tf.Tensor, w as tf.Tensor);
          const { y } = normalizeByBatch(first, {
            gamma: gamma as tf.Tensor,
            beta: beta as tf.Tensor,
            ...moving,
          });
          const h = tf.relu(tf.add(y, first));
          return convolve(h, w as tf.Tensor);
        },
      );
    },
  );

  test.each([
    ["unsigned", { quantMin: 0, quantMax: 15 }, undefined, 18],
    ["unsigned, in shared blocks", { quantMin: 0, quantMax: 15 }, undefined, 8],
    ["affine, in shared blocks", { quantMin: 0, quantMax: 15 }, 6, 4],
    ["signed", { quantMin: -8, quantMax: 7 }, undefined, 18],
    ["whole bytes", { quantMin: -128, quantMax: 127 }, undefined, 18],
    ["affine", { quantMin: 0, quantMax: 15 }, 6, 18],
    ["affine and signed", { quantMin: -8, quantMax: 7 }, 3, 18],
    ["16 bits", { quantMin: -32768, quantMax: 32767 }, undefined, 18],
  ])("fake quantization, %s", async (_, range, zeroPoint, channels) => {
    await compareWithPlain(
      engine,
      [[32, 5, 5, channels], [1, 1, channels, channels], [3, 3, channels, 16], []],
      (x, mix, w, scale) => {
        const h = convolve(x as tf.Tensor, mix as tf.Tensor);
        const step = tf.add(tf.mul(tf.abs(scale as tf.Tensor), 0.01), 0.21); // no value on a border
        const zero = zeroPoint === undefined ? undefined : tf.scalar(zeroPoint);
        return convolve(
          fakeQuantize(range.quantMin === 0 && !zero ? tf.relu(h) : h, step, zero, range),
          w as tf.Tensor,
        );
      },
    );
  });

  test.each([16, 20, 8])("a table read at each of %i channels", async (channels) => {
    // tfjs has no gradient through indices.
    const read = tf.customGrad<tf.Tensor>((h) => {
      const steps = tf.clipByValue(tf.add(tf.mul(h as tf.Tensor, 0.7), 4.03), 0, 8);
      const indices = tf.cast(tf.round(steps), "int32") as tf.Tensor1D;
      return { value: tf.gather(tf.tensor1d(values(9, 3)), indices), gradFunc: (dy) => dy };
    });
    await compareWithPlain(
      engine,
      [
        [32, 5, 5, channels],
        [1, 1, channels, channels],
      ],
      (x, w) => {
        const h = convolve(x as tf.Tensor, w as tf.Tensor);
        return tf.mul(read(h), h);
      },
    );
  });

  test.each([24, 5])("average pooling of %i channels and what broadcasts", async (channels) => {
    await compareWithPlain(
      engine,
      [
        [32, 5, 5, channels],
        [1, 1, channels, channels],
      ],
      (x, w) => {
        const h = convolve(x as tf.Tensor, w as tf.Tensor);
        const attention = tf.sigmoid(tf.mean(h, [1, 2], true));
        return tf.concat([tf.mean(tf.mul(h, attention), [1, 2]), tf.sum(h, [1, 2])], 1);
      },
    );
  });

  test.each([
    ["quantized ResNet-8", resnet8, 16, true],
    ["quantized ResNet-8 of half a block", resnet8, 8, true],
    // Not quantized: through so many layers one flipped rounding moves most tensors.
    ["MobileNetV2", mobileNetV2, 4, false],
  ])(
    "a training step of %s changes every tensor as the standard lowering does",
    async (_, model, width, isQuantized) => {
      const start = await preparedTraining(standard, {
        dataset,
        model,
        width,
        batchSize: 32,
        ...(isQuantized && { quantized }),
      });
      const [a, b] = [await stepped(standard, start, 1), await stepped(engine, start, 1)];
      const errors = Object.entries(a).map(([name, { data }]) =>
        relativeError(data, b[name]?.data ?? []),
      );
      // A rounding that float noise flips moves single tensors; nearly all of them agree closely.
      errors.sort((x, y) => x - y);
      expect(errors[Math.floor(errors.length / 2)]).toBeLessThan(1e-4);
      expect(errors[Math.floor(errors.length * 0.9)]).toBeLessThan(1e-2);
    },
    60_000,
  );

  test.each([
    ["blocked", "float"],
    ["blocked", "LSQ"],
    ["standard", "float"],
    ["standard", "LSQ"],
  ] as const)(
    "gives the same bits after 100 steps again, and on two threads: %s, %s",
    async (lowering, kind) => {
      const start = await preparedTraining(standard, {
        dataset,
        model: resnet8,
        width: 8,
        batchSize: 32,
        ...(kind === "LSQ" && { quantized }),
      });
      const [one, two] = [withThreads(lowering, 1), withThreads(lowering, 2)];
      const once = await stepped(one, start, 100);
      expect(await stepped(one, start, 100)).toEqual(once);
      expect(await stepped(two, start, 100)).toEqual(once);
    },
    120_000,
  );
});

/** An engine on several threads, as a training that runs alone has them: sums must not depend on them. */
function withThreads(name: "blocked" | "standard", intraOpNumThreads: number): Engine {
  const blocked = { name: "blocked" as const, ...(probed ?? { block: 16 }), chunkBytes };
  return onnxruntimeEngine(name === "blocked" ? blocked : STANDARD, intraOpNumThreads);
}

/** All tensors after some steps. */
async function stepped(engine: Engine, training: Training, steps: number): Promise<HostTensors> {
  const { phase, batches } = runningTraining(engine, training);
  for (let i = 0; i < steps; i++) await phase.step(batches.next().value, 0.01);
  await phase.release();
  return phase.tensors;
}

type Compute = (...inputs: (tf.Tensor | undefined)[]) => tf.Tensor;

/** Values and gradients to all inputs, each element of the result weighted differently. */
async function compareWithPlain(
  engine: Engine,
  shapes: readonly (readonly number[])[],
  compute: Compute,
): Promise<void> {
  const inputs: HostTensors = Object.fromEntries(
    shapes.map((shape, i) => [`x${String(i)}`, float32(values(sizeOf(shape), 5 + i), shape)]),
  );
  const step = (tensors: StepTensors) => {
    const weighted = (...xs: tf.Tensor[]) => {
      const y = compute(...xs);
      return tf.mean<tf.Scalar>(tf.mul(y, tf.tensor(values(y.size, 11), y.shape)));
    };
    const operands = Object.values(tensors);
    const { value, grads } = tf.valueAndGrads(weighted)(operands);
    return {
      y: compute(...operands),
      value,
      ...Object.fromEntries(grads.map((gradient, i) => [`dx${String(i)}`, gradient])),
    };
  };
  const run = async (on: Engine) => {
    const compiled = await on.compile(step, inputs);
    const outputs = await compiled.run(inputs);
    await compiled.release();
    return outputs;
  };
  const [expected, actual] = [await run(plain), await run(engine)];
  for (const [name, { shape, data }] of Object.entries(expected)) {
    expect(actual[name]?.shape, name).toEqual(shape);
    expect(relativeError(data, actual[name]?.data ?? []), name).toBeLessThan(3e-5);
  }
}

/**
 * Norm of the difference relative to the norm of what is expected. Elements count as 1e-4 at least:
 * gradients that a batch norm behind makes 0, but for float noise, have no relative error.
 */
function relativeError(expected: ArrayLike<number>, actual: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const value = expected[i] ?? NaN;
    difference += (value - (actual[i] ?? NaN)) ** 2;
    size += value ** 2 + 1e-8;
  }
  return Math.sqrt(difference / size);
}
