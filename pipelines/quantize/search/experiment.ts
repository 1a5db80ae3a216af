import * as tf from "#tf";
import type { QuantizerValues, QuantizerSite } from "../../../algorithms/algorithm.js";
import type { Experiment, ImageBatch, Observation, Runs } from "../../../algorithms/laboratory.js";
import {
  onlyValue,
  type CompiledStep,
  type Engine,
  type HostTensors,
  type StepFunction,
} from "../../engine/index.js";
import { existing, forward, type QuantizedNetwork, tensorOf } from "../../network/index.js";
import { predictions } from "../../train/index.js";

const [LOSS, LOGITS] = ["loss", "logits"];
const gradientOf = (name: string) => `${name} gradient`;

interface Subject extends QuantizedNetwork {
  readonly classes: number;
  /** Told how many images a run visits, before it does. */
  readonly onVisit: (images: number) => void;
}

/** An experiment that compiles once for each size of batch. */
export class PreparedExperiment {
  readonly #engine: Engine;
  readonly #subject: Subject;
  readonly #experiment: Experiment;
  readonly #step: StepFunction;
  readonly #compiled = new Map<number, CompiledStep>();

  constructor(engine: Engine, subject: Subject, experiment: Experiment) {
    this.#engine = engine;
    this.#subject = subject;
    this.#experiment = experiment;
    this.#step = stepOf(subject, experiment);
  }

  readonly run: Runs = async (values, { images, labels }) => {
    const count = labels.data.length;
    const { by } = this.#experiment;
    this.#subject.onVisit(by.length > 0 ? GRADIENT_VISITS * count : count);
    const inputs = { images, labels, ...toHostTensors(values) };
    const known = this.#compiled.get(count) ?? (await this.#engine.compile(this.#step, inputs));
    this.#compiled.set(count, known);
    return observation(await known.run(inputs), labels, by);
  };

  async release(): Promise<void> {
    for (const step of this.#compiled.values()) await step.release();
  }
}

/** Forwards, and twice as much backwards. */
export const GRADIENT_VISITS = 3;

export const toHostTensors = (values: QuantizerValues): HostTensors =>
  Object.fromEntries(
    Object.entries(values).map(([name, { shape, data }]) => [
      name,
      { dtype: "float32", shape, data },
    ]),
  );

function observation(
  outputs: HostTensors,
  labels: ImageBatch["labels"],
  by: readonly string[],
): Observation {
  const { [LOSS]: loss, [LOGITS]: logits, ...rest } = outputs;
  if (!(logits?.data instanceof Float32Array)) throw new TypeError("an experiment has no logits");
  const guesses = predictions(logits.data, logits.data.length / labels.data.length);
  const gradients = Object.fromEntries(
    by.map((name) => [name, asValue(existing(rest, gradientOf(name)))]),
  );
  const statistics = Object.entries(rest).filter(([name]) => !name.endsWith(gradientOf("")));
  return {
    loss: onlyValue(loss),
    correct: guesses.filter((guess, i) => guess === labels.data[i]).length,
    gradients,
    statistics: Object.fromEntries(statistics.map(([name, tensor]) => [name, asValue(tensor)])),
  };
}

const asValue = ({ shape, data }: HostTensors[string]) => ({ shape, data: data as Float32Array });

function stepOf({ network, sites, classes }: Subject, experiment: Experiment): StepFunction {
  const byId = new Map<string, QuantizerSite>(sites.map((site) => [site.id, site]));
  const { by, training, quantize, after, loss } = experiment;
  return ({ images, labels, ...tensors }) => {
    if (!images || !labels) throw new TypeError("an experiment lacks its batch");
    const kept: Record<string, tf.Tensor> = {};
    const objective = (...moved: tf.Tensor[]): tf.Scalar => {
      const inputs = {
        ...tensors,
        ...Object.fromEntries(by.map((name, i) => [name, moved[i] as tf.Tensor])),
      };
      const read = new Map<string, tf.Tensor>();
      const { logits, statistics } = forward(network, images, {
        parameters: inputs,
        training,
        ...(after && { after: (node: string, x: tf.Tensor) => after(x, node, inputs) }),
        quantize: (id, x, parameter) => {
          const site = byId.get(id);
          if (site === undefined) return x;
          if (parameter === undefined) read.set(id, x);
          return quantize?.(x, site, inputs) ?? x;
        },
      });
      const oneHot = tf.cast(tf.oneHot(labels as tf.Tensor1D, classes), "float32") as tf.Tensor2D;
      const crossEntropy = tf.neg(
        tf.mean<tf.Scalar>(tf.sum(tf.mul(tf.logSoftmax(logits), oneHot), 1)),
      );
      // Differentiation disposes what its function does not return.
      for (const [name, tensor] of Object.entries({ ...statistics, [LOGITS]: logits }))
        kept[name] = tf.keep(tensor);
      const tensor = tensorOf(read);
      return loss?.({ crossEntropy, logits, labels: oneHot, tensor, inputs }) ?? crossEntropy;
    };
    const outputs: Record<string, tf.Tensor> = {};
    if (by.length === 0) outputs[LOSS] = objective();
    else {
      const { value, grads } = tf.valueAndGrads(objective)(
        by.map((name) => existing(tensors, name)),
      );
      outputs[LOSS] = value;
      by.forEach((name, i) => (outputs[gradientOf(name)] = grads[i] as tf.Tensor));
    }
    for (const [name, tensor] of Object.entries(kept)) {
      outputs[name] = tf.clone(tensor);
      tensor.dispose();
    }
    return outputs;
  };
}
