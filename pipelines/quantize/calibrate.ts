import * as tf from "#tf";
import type {
  Algorithm,
  Quantizer,
  QuantizerSite,
  QuantizerValue,
  QuantizerValues,
} from "../../algorithms/algorithm.js";
import {
  batchesInOrder,
  type Hyperparameters,
  imagePace,
  type ImageProgress,
  type TrainingImages,
} from "../train/index.js";
import type { Engine, HostTensor, HostTensors, StepTensors } from "../engine/index.js";
import type { GridStart } from "../../algorithms/laboratory.js";
import {
  forward,
  type QuantizedNetwork,
  quantizerOf,
  toHost,
  valueName,
} from "../network/index.js";

interface Observation extends QuantizedNetwork {
  readonly quantizers: Readonly<Record<QuantizerSite["role"], Pick<Quantizer, "observe">>>;
  readonly parameters: HostTensors;
  readonly dataset: TrainingImages;
  readonly hyperparameters: Hyperparameters;
  readonly onImages?: ((progress: ImageProgress) => void) | undefined;
}

interface Calibration extends Omit<Observation, "quantizers"> {
  readonly algorithm: Algorithm;
}

/**
 * Gives every quantizer its first values, from what it observes of the float network.
 *
 * @returns all quantizer values, named "site:value"
 */
export async function calibrate(engine: Engine, calibration: Calibration): Promise<HostTensors> {
  return firstValues(engine, { ...calibration, quantizers: calibration.algorithm });
}

/** The same for quantizers that no algorithm has. */
export async function firstValues(
  engine: Engine,
  calibration: Observation & {
    readonly quantizers: Readonly<Record<QuantizerSite["role"], GridStart>>;
  },
): Promise<HostTensors> {
  const { sites, quantizers } = calibration;
  const observed = await observe(engine, calibration);
  return Object.assign(
    {},
    ...sites.map((site, index) =>
      toHost(site, quantizerOf(quantizers, site).initialize(observed[index] ?? [], site)),
    ),
  ) as HostTensors;
}

/**
 * Runs the float network over training images in their stored order and lets each quantizer observe its
 * tensor.
 *
 * @returns for each site its statistics of each batch
 */
export async function observe(
  engine: Engine,
  calibration: Observation,
): Promise<readonly (readonly QuantizerValues[])[]> {
  const { network, sites, quantizers, parameters, dataset, hyperparameters } = calibration;
  const { batchSize, calibrationBatches } = hyperparameters;
  const observed: Record<string, QuantizerValue>[][] = sites.map(() => []);
  const size = Math.min(batchSize, dataset.train.count);
  const batches = batchesInOrder(dataset, dataset.train, size);
  const images = size * Math.min(calibrationBatches, Math.floor(dataset.train.count / size));
  const told = imagePace(images, calibration.onImages);

  const step = ({ images, ...tensors }: StepTensors) => {
    if (images === undefined) throw new TypeError("calibration needs images");
    const statistics: Record<string, StepTensors[string]> = {};
    const byId = new Map(sites.map((site) => [site.id, site]));
    const read = new Map<string, tf.Tensor>();
    forward(network, images, {
      parameters: tensors,
      training: false,
      quantize(id, x) {
        const site = byId.get(id);
        if (site === undefined) return x;
        const before = read.get(id);
        const all = before === undefined ? x : together(before, x);
        read.set(id, all);
        const values = quantizerOf(quantizers, site).observe(all, site);
        for (const [name, value] of Object.entries(values)) {
          statistics[valueName(site, name)] = value;
        }
        return x;
      },
    });
    return statistics;
  };

  const first = batches.next().value;
  if (first === undefined) throw new Error("the data set has no training images");
  const compiled = await engine.compile(step, { images: first.images, ...parameters });
  try {
    let batch: typeof first | undefined = first;
    for (let i = 0; i < calibrationBatches && batch !== undefined; i++) {
      if (batch.images.shape[0] !== first.images.shape[0]) break; // steps have one batch size
      const outputs = await compiled.run({ images: batch.images, ...parameters });
      sites.forEach((site, index) => observed[index]?.push(statisticsOf(site, outputs)));
      told((i + 1) * size);
      batch = batches.next().value;
    }
  } finally {
    await compiled.release();
  }
  return observed;
}

/** All values of two tensors that share one grid. */
const together = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
  tf.concat([tf.reshape(a, [-1]), tf.reshape(b, [-1])]);

function statisticsOf(site: QuantizerSite, outputs: HostTensors): Record<string, QuantizerValue> {
  const prefix = valueName(site, "");
  const values: Record<string, QuantizerValue> = {};
  for (const [name, { shape, data }] of Object.entries<HostTensor>(outputs)) {
    if (!name.startsWith(prefix)) continue;
    values[name.slice(prefix.length)] = { shape, data: Float32Array.from(data) };
  }
  return values;
}
