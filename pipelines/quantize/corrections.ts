import * as tf from "#tf";
import type { Algorithm } from "../../algorithms/algorithm.js";
import type { Batch } from "../train/index.js";
import type { Engine, HostTensor, HostTensors, StepTensors } from "../engine/index.js";
import {
  consumersOf,
  existing,
  forward,
  isLayer,
  parameterSpecs,
  type QuantizedNetwork,
  quantizeWith,
  unquantized,
} from "../network/index.js";
import type { ConvNode, DenseNode, Network } from "../../algorithms/network.js";

export interface Correction extends QuantizedNetwork {
  readonly algorithm: Algorithm;
  /** Parameters and calibrated quantizers. */
  readonly tensors: HostTensors;
  /** Calibration batches, all of one size. */
  readonly batches: readonly Batch[];
}

/**
 * Measures batch norm's statistics again with quantization on: the mean over the calibration
 * batches of each batch's mean and variance.
 */
export async function recalibrateBatchNorm(
  engine: Engine,
  { network, sites, algorithm, tensors, batches }: Correction,
): Promise<HostTensors> {
  const names = [...parameterSpecs(network)]
    .filter(([, { group }]) => group === "statistics")
    .map(([name]) => name);
  if (names.length === 0) return tensors;
  const step = ({ images, ...current }: StepTensors) => {
    const { statistics } = forward(network, images ?? tf.zeros([0]), {
      parameters: current,
      training: true,
      quantize: quantizeWith(algorithm, sites, current),
    });
    // Training gives running averages, 0.9 of the old and 0.1 of the batch: the batch's share.
    return Object.fromEntries(
      Object.entries(statistics).map(([name, updated]) => {
        const old = tf.mul(existing(current, name), 0.9);
        return [name, tf.mul(tf.sub(updated, old), 10)];
      }),
    );
  };
  const measured = await averageOver(engine, step, { tensors, batches });
  const corrected: Record<string, HostTensor> = { ...tensors };
  for (const [name, { shape, data }] of Object.entries(measured)) {
    const valid = name.endsWith("/variance") ? data.map((v) => Math.max(v, 0)) : data;
    corrected[name] = { dtype: "float32", shape, data: Float32Array.from(valid) };
  }
  return corrected;
}

/**
 * Takes the mean error of each output channel out of the layer's bias, one layer after another, so
 * that each sees what corrected layers before it give (Nagel et al., 2019, section 4.2).
 */
export async function correctBias(engine: Engine, correction: Correction): Promise<HostTensors> {
  const { network, sites, algorithm, batches } = correction;
  const layers = network.nodes.filter(isLayer);
  const means =
    (mode: (current: StepTensors) => (id: string, x: tf.Tensor) => tf.Tensor) =>
    ({ images, ...current }: StepTensors) => {
      const { outputs } = forward(network, images ?? tf.zeros([0]), {
        parameters: current,
        training: false,
        quantize: mode(current),
      });
      return Object.fromEntries(
        layers.map(({ name }) => {
          const output = existing(Object.fromEntries(outputs), name);
          return [name, tf.mean(output, [...output.shape.keys()].slice(0, -1))];
        }),
      );
    };
  const exact = await averageOver(
    engine,
    means(() => unquantized),
    { tensors: correction.tensors, batches },
  );
  let { tensors } = correction;
  const [first] = batches;
  if (first === undefined) throw new Error("bias correction needs calibration images");
  const compiled = await engine.compile(
    means((current) => quantizeWith(algorithm, sites, current)),
    { images: first.images, ...tensors },
  );
  try {
    for (const layer of layers) {
      const sums = new Float64Array(existing(exact, layer.name).data.length);
      for (const { images } of batches) {
        const outputs = await compiled.run({ images, ...tensors });
        existing(outputs, layer.name).data.forEach((value, i) => {
          sums[i] = (sums[i] ?? 0) + value / batches.length;
        });
      }
      const error = sums.map((mean, i) => mean - (existing(exact, layer.name).data[i] ?? 0));
      tensors = { ...tensors, ...shifted(network, layer, error, tensors) };
    }
  } finally {
    await compiled.release();
  }
  return tensors;
}

/** The parameter that moves a layer's output, moved so that the error is gone. */
function shifted(
  network: Network,
  layer: ConvNode | DenseNode,
  error: Float64Array,
  tensors: HostTensors,
): HostTensors {
  const move = (name: string, sign: 1 | -1): HostTensors => {
    const { shape, data } = existing(tensors, name);
    const moved = Float32Array.from(data, (value, i) => value + sign * (error[i] ?? 0));
    return { [name]: { dtype: "float32", shape, data: moved } };
  };
  if (layer.op === "dense" || layer.bias) return move(`${layer.name}/bias`, -1);
  if (layer.foldedBatchNorm !== undefined) return move(`${layer.foldedBatchNorm}/beta`, -1);
  // A live batch norm subtracts its mean, so the mean takes the error in.
  const [next] = consumersOf(network, layer.name);
  return next?.op === "batchNorm" ? move(`${next.name}/mean`, 1) : {};
}

/** The mean over batches of a step's outputs. */
async function averageOver(
  engine: Engine,
  step: (inputs: StepTensors) => Record<string, tf.Tensor>,
  { tensors, batches }: { readonly tensors: HostTensors; readonly batches: readonly Batch[] },
): Promise<HostTensors> {
  const [first] = batches;
  if (first === undefined) throw new Error("corrections need calibration images");
  const compiled = await engine.compile(step, { images: first.images, ...tensors });
  const sums = new Map<string, { shape: readonly number[]; data: Float64Array }>();
  try {
    for (const { images } of batches) {
      for (const [name, { shape, data }] of Object.entries(
        await compiled.run({ images, ...tensors }),
      )) {
        const sum = sums.get(name) ?? { shape, data: new Float64Array(data.length) };
        data.forEach((value, i) => {
          sum.data[i] = (sum.data[i] ?? 0) + value / batches.length;
        });
        sums.set(name, sum);
      }
    }
  } finally {
    await compiled.release();
  }
  return Object.fromEntries(
    [...sums].map(([name, { shape, data }]) => [
      name,
      { dtype: "float32", shape, data: Float32Array.from(data) },
    ]),
  );
}
