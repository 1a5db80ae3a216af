import * as tf from "#tf";
import {
  checkInputs,
  type CompiledStep,
  type HostTensor,
  type HostTensors,
  type Signature,
  type StepFunction,
} from "../engine.js";
import { recordProgram } from "../trace/index.js";
import { planOf, type Plan } from "./plan.js";

/** Records a step once and replays its kernels on tfjs-node's backend. */
export async function replayedStep(
  step: StepFunction,
  signature: Signature,
): Promise<CompiledStep> {
  const plan = planOf(await recordProgram(step, signature));
  await tf.setBackend("tensorflow");
  const constants = new Map(
    [...plan.constants].map(([tensor, { values, shape, dtype }]) => {
      return [tensor, tf.keep(tf.tensor(values.slice(), shape, dtype))] as const;
    }),
  );
  return {
    async run(inputs) {
      checkInputs(inputs, signature);
      await tf.setBackend("tensorflow");
      // Nothing of this lets other steps in between, which may want another backend.
      tf.engine().startScope();
      try {
        return replay(plan, constants, inputs);
      } finally {
        tf.engine().endScope();
      }
    },
    release() {
      for (const constant of constants.values()) constant.dispose();
      constants.clear();
      return Promise.resolve();
    },
  };
}

function replay(
  plan: Plan,
  constants: ReadonlyMap<number, tf.Tensor>,
  inputs: HostTensors,
): HostTensors {
  const tensors = new Map(constants);
  const existing = (number: number): tf.Tensor => {
    const tensor = tensors.get(number);
    if (tensor === undefined) throw new Error("a replayed step reads what is not there");
    return tensor;
  };
  for (const [name, number] of plan.inputs) {
    const { data, shape, dtype } = inputs[name] as HostTensor;
    // tfjs-node copies it when the first kernel reads it, before anybody can change it.
    tensors.set(number, tf.tensor(data, [...shape], dtype));
  }
  for (const { kernel, inputs: read, attributes, outputs, frees } of plan.instructions) {
    const given = Object.entries(read).map(([name, number]) => [name, existing(number)] as const);
    const isList = "0" in read; // as of concat
    const made = tf.tidy(() => {
      const named = isList ? given.map(([, tensor]) => tensor) : Object.fromEntries(given);
      return tf
        .engine()
        .runKernel(kernel, named as tf.NamedTensorMap, attributes as tf.NamedAttrMap);
    });
    [made].flat().forEach((tensor, i) => tensors.set(outputs[i] ?? NaN, tensor));
    for (const number of frees) existing(number).dispose();
  }
  // What a step gives back as it got it is not to share memory with that.
  const untouched = new Set([...plan.inputs.values(), ...plan.constants.keys()]);
  const host: Record<string, HostTensor> = {};
  for (const [name, { shape, dtype, tensor }] of plan.outputs) {
    const values = existing(tensor).dataSync<"float32" | "int32">();
    const data = untouched.has(tensor) ? values.slice() : values;
    host[name] = { shape, dtype, data };
  }
  return host;
}
