import type { Algorithm } from "../../algorithms/algorithm.js";
import type { BackendProfile } from "../../backends/backend.js";
import { FLOAT_BITS } from "../../backends/hardware/hardware.js";
import * as ort from "../onnxruntime.js";
import type { CompiledStep, Engine, HostTensors, StepFunction } from "../engine/index.js";
import { exportOnnx } from "../export/index.js";
import { freeze, roomForBiases } from "../freeze/index.js";
import {
  asDeployed,
  existing,
  forward,
  leftInFloat,
  type QuantizedNetwork,
} from "../network/index.js";
import { channelsFirst, predictions, type Batch } from "../train/index.js";
import { behaviorOf, type Behavior } from "./behavior.js";
import { infer, loadModel } from "./inference.js";
import { kernelsOf } from "./runtimes/index.js";

/** Bits by site: 32 leaves it in float; what is missing keeps its own. */
export type SiteBits = Readonly<Record<string, number>>;

/** A trained network, and what it takes to quantize only parts of it. */
export interface Divisible extends QuantizedNetwork {
  readonly algorithm: Algorithm;
  readonly backend: BackendProfile;
  /** Parameters, and the values of all quantizers at their own bits. */
  readonly tensors: HostTensors;
  /** Values of quantizers at other bits. */
  readonly atBits: ReadonlyMap<number, HostTensors>;
  readonly classes: number;
}

/** Images that all parts of a network are judged by. */
export interface Judges {
  /** Of one size, but for the last. */
  readonly batches: readonly Batch[];
  readonly areLabeled: boolean;
}

/** Runs a network on the same images with any of its sites in float or at other bits. */
export class PartlyQuantized {
  readonly #engine: Engine;
  readonly #subject: Divisible;
  readonly #batches: readonly Batch[];
  readonly #inFloat: Float32Array;
  readonly #labels: ArrayLike<number>;

  private constructor(
    engine: Engine,
    subject: Divisible,
    judged: {
      readonly batches: readonly Batch[];
      readonly inFloat: Float32Array;
      readonly labels: ArrayLike<number>;
    },
  ) {
    this.#engine = engine;
    this.#subject = subject;
    this.#batches = judged.batches;
    this.#inFloat = judged.inFloat;
    this.#labels = judged.labels;
  }

  /** Without labels, what the network in float says is right. */
  static async create(
    engine: Engine,
    subject: Divisible,
    { batches, areLabeled }: Judges,
  ): Promise<PartlyQuantized> {
    const everything = Object.fromEntries(subject.sites.map(({ id }) => [id, FLOAT_BITS]));
    const inFloat = await simulate(engine, partOf(subject, everything), batches);
    const labels = areLabeled
      ? batches.flatMap(({ labels: { data } }) => Array.from<number>(data))
      : predictions(inFloat, subject.classes);
    return new PartlyQuantized(engine, subject, { batches, inFloat, labels });
  }

  /** The network in float. */
  inFloat(): Behavior {
    return this.#behavior(this.#inFloat);
  }

  /** On the engine, in the backend's arithmetic as far as training has it. */
  async simulated(bits: SiteBits): Promise<Behavior> {
    return this.#behavior(await simulate(this.#engine, partOf(this.#subject, bits), this.#batches));
  }

  /** Exported, on onnxruntime. */
  async deployed(bits: SiteBits): Promise<Behavior> {
    const { algorithm, network, sites, tensors } = partOf(this.#subject, bits);
    const frozen = roomForBiases(
      await freeze(this.#engine, { network, sites }, { algorithm, tensors }),
    );
    const kernels = kernelsOf(this.#subject.backend, frozen);
    const session = await loadModel(exportOnnx(frozen, "partly quantized"), kernels);
    try {
      const logits: Float32Array[] = [];
      for (const { images } of this.#batches) {
        const { data, shape } = channelsFirst(images);
        logits.push(await infer(session, new ort.Tensor("float32", data as Float32Array, shape)));
      }
      return this.#behavior(joined(logits));
    } finally {
      await session.release();
    }
  }

  #behavior(logits: Float32Array): Behavior {
    const { classes } = this.#subject;
    return behaviorOf({ logits, classes, inFloat: this.#inFloat, labels: this.#labels });
  }
}

type Part = Pick<Divisible, "network" | "sites" | "algorithm" | "tensors">;

/** The network with these bits: quantizers of sites in float are gone, others have their values. */
function partOf(subject: Divisible, bits: SiteBits): Part {
  const { algorithm, atBits } = subject;
  const inFloat = subject.sites.filter(({ id }) => bits[id] === FLOAT_BITS).map(({ id }) => id);
  const { network, sites } = leftInFloat(subject, new Set(inFloat));
  const tensors: Record<string, HostTensors[string]> = { ...subject.tensors };
  const changed = sites.map((site) => {
    const bitWidth = bits[site.id] ?? site.scheme.bitWidth;
    if (bitWidth === site.scheme.bitWidth) return site;
    const values = atBits.get(bitWidth);
    const own = Object.entries(values ?? {}).filter(([name]) => name.startsWith(`${site.id}:`));
    if (own.length === 0)
      throw new RangeError(`there are no values of ${site.id} at ${String(bitWidth)} bits`);
    for (const [name, value] of own) tensors[name] = value;
    return { ...site, scheme: { ...site.scheme, bitWidth } };
  });
  return { algorithm, network, sites: changed, tensors };
}

async function simulate(
  engine: Engine,
  { network, sites, algorithm, tensors }: Part,
  batches: readonly Batch[],
): Promise<Float32Array> {
  const step: StepFunction = ({ images, ...current }) => {
    if (images === undefined) throw new TypeError("there are no images");
    const { logits } = forward(network, images, {
      ...{ parameters: current, training: false },
      ...asDeployed(algorithm, { network, sites }, current),
    });
    return { logits };
  };
  if (batches.length === 0) throw new RangeError("there are no images to judge by");
  const logits: Float32Array[] = [];
  let compiled: { readonly size: number | undefined; readonly step: CompiledStep } | undefined;
  try {
    for (const { images } of batches) {
      const [size] = images.shape; // the last batch may be smaller
      if (compiled?.size !== size) {
        await compiled?.step.release();
        compiled = undefined;
      }
      compiled ??= { size, step: await engine.compile(step, { images, ...tensors }) };
      const outputs = await compiled.step.run({ images, ...tensors });
      logits.push(Float32Array.from(existing(outputs, "logits").data));
    }
  } finally {
    await compiled?.step.release();
  }
  return joined(logits);
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}
