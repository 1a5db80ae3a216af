import type { Algorithm, QuantizerSite, QuantizerValue } from "../../algorithms/algorithm.js";
import { batchesInOrder, type Dataset, type Hyperparameters } from "../train/index.js";
import type { Engine, HostTensor, HostTensors, StepTensors } from "../engine/index.js";
import {
  forward,
  type QuantizedNetwork,
  quantizerOf,
  toHost,
  valueName,
} from "../network/index.js";

interface Calibration extends QuantizedNetwork {
  readonly algorithm: Algorithm;
  readonly parameters: HostTensors;
  readonly dataset: Dataset;
  readonly hyperparameters: Hyperparameters;
}

/**
 * Gives every quantizer its first values: runs the float network over training images in their
 * stored order and lets each quantizer observe its tensor.
 *
 * @returns all quantizer values, named "site:value"
 */
export async function calibrate(engine: Engine, calibration: Calibration): Promise<HostTensors> {
  const { network, sites, algorithm, parameters, dataset, hyperparameters } = calibration;
  const { batchSize, calibrationBatches } = hyperparameters;
  const observed: Record<string, QuantizerValue>[][] = sites.map(() => []);
  const batches = batchesInOrder(dataset, dataset.train, Math.min(batchSize, dataset.train.count));

  const step = ({ images, ...tensors }: StepTensors) => {
    if (images === undefined) throw new TypeError("calibration needs images");
    const statistics: Record<string, StepTensors[string]> = {};
    const byId = new Map(sites.map((site) => [site.id, site]));
    forward(network, images, {
      parameters: tensors,
      training: false,
      quantize(id, x) {
        const site = byId.get(id);
        if (site === undefined) return x;
        const values = quantizerOf(algorithm, site).observe(x, site);
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
      batch = batches.next().value;
    }
  } finally {
    await compiled.release();
  }
  return Object.assign(
    {},
    ...sites.map((site, index) =>
      toHost(site, quantizerOf(algorithm, site).initialize(observed[index] ?? [], site)),
    ),
  ) as HostTensors;
}

function statisticsOf(site: QuantizerSite, outputs: HostTensors): Record<string, QuantizerValue> {
  const prefix = valueName(site, "");
  const values: Record<string, QuantizerValue> = {};
  for (const [name, { shape, data }] of Object.entries<HostTensor>(outputs)) {
    if (!name.startsWith(prefix)) continue;
    values[name.slice(prefix.length)] = { shape, data: Float32Array.from(data) };
  }
  return values;
}
