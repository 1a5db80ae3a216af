import * as tf from "#tf";
import { rectifiedSigmoid } from "../../../algorithms/softRounding.js";
import type { StepTensors } from "../../engine/index.js";
import { existing, forward, inputName, quantizeWith } from "../../network/index.js";
import type { LearnedUnit, ReconstructionTask } from "./learnedUnit.js";

export const ADAM = { first: 0.9, second: 0.999, epsilon: 1e-8 } as const;

/** Sum over channels of the squared error, averaged over all else (lp_loss of the authors' code). */
function reconstructionError(y: tf.Tensor, { target, weights }: StepTensors): tf.Scalar {
  const difference = tf.sub(y, target ?? y);
  const squared = tf.mul(difference, difference);
  const weighed = weights === undefined ? squared : tf.mul(squared, tf.mul(weights, weights));
  return tf.mul(tf.mean<tf.Scalar>(weighed), y.shape.at(-1) ?? 1);
}

function outputOf(task: ReconstructionTask, unit: LearnedUnit, current: StepTensors): tf.Tensor {
  const quantize = quantizeWith(task.algorithm, unit.sites, current);
  const { outputs } = forward(unit.network, (name) => existing(current, inputName(name)), {
    parameters: current,
    training: false,
    quantize(id, x, parameter) {
      const y = quantize(id, x);
      const kept = current[`${id} kept`];
      return kept === undefined || parameter !== undefined
        ? y
        : tf.add(x, tf.mul(kept, tf.sub(y, x)));
    },
  });
  const output = outputs.get(unit.output);
  if (output === undefined) throw new Error(`no node "${unit.output}"`);
  return output;
}

/** One step of Adam on the roundings and scales of a unit. */
export function learningStep(task: ReconstructionTask, unit: LearnedUnit) {
  return (inputs: StepTensors): Record<string, tf.Tensor> => {
    const input = (name: string): tf.Tensor => existing(inputs, name);
    const objective = (...learned: tf.Tensor[]): tf.Scalar => {
      const current = {
        ...inputs,
        ...Object.fromEntries(unit.learned.map((name, i) => [name, learned[i] as tf.Tensor])),
      };
      const error = reconstructionError(outputOf(task, unit, current), current);
      const undecided = unit.roundings.map((name) => {
        const h = rectifiedSigmoid(existing(current, name));
        const distance = tf.abs(tf.sub(tf.mul(h, 2), 1));
        // A little above 0, where the power has a derivative.
        return tf.sum<tf.Scalar>(tf.sub(1, tf.pow(tf.add(distance, 1e-6), input("exponent"))));
      });
      return undecided.reduce(
        (sum, term) => tf.add<tf.Scalar>(sum, tf.mul(term, input("regularization"))),
        error,
      );
    };
    const { value, grads } = tf.valueAndGrads(objective)(unit.learned.map(input));
    const outputs: Record<string, tf.Tensor> = { loss: value };
    unit.learned.forEach((name, i) => {
      const gradient = grads[i];
      if (gradient === undefined) throw new Error(`no gradient reaches "${name}"`);
      const average = (moment: string, decay: number, latest: tf.Tensor) =>
        tf.add(tf.mul(input(`${name} ${moment}`), decay), tf.mul(latest, 1 - decay));
      const first = average("first", ADAM.first, gradient);
      const second = average("second", ADAM.second, tf.mul(gradient, gradient));
      const deviation = tf.sqrt(tf.mul(second, input("secondCorrection")));
      const direction = tf.div(
        tf.mul(first, input("firstCorrection")),
        tf.add(deviation, ADAM.epsilon),
      );
      const isRounding = unit.roundings.includes(name);
      // Adam moves by its rate whatever the gradient's size, so that of a scale follows the scale.
      const rate = isRounding ? input("rate") : tf.mul(input("scaleRate"), tf.abs(input(name)));
      outputs[`${name} first`] = first;
      outputs[`${name} second`] = second;
      outputs[name] = tf.sub(input(name), tf.mul(direction, rate));
    });
    return outputs;
  };
}
