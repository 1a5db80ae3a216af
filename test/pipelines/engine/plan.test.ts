import * as tf from "#tf";
import { expect, test } from "vitest";
import { planOf, type Plan } from "../../../pipelines/engine/tensorflow/plan.js";
import { recordProgram } from "../../../pipelines/engine/trace/index.js";
import type { StepFunction } from "../../../pipelines/engine/index.js";

async function planned(step: StepFunction, shape: readonly number[] = [4]): Promise<Plan> {
  return planOf(await recordProgram(step, { x: { shape, dtype: "float32" } }));
}
const kernels = ({ instructions }: Plan) => instructions.map(({ kernel }) => kernel);

test("what is computed twice in the same way is computed once, and what nobody reads never", async () => {
  const plan = await planned(({ x }) => {
    tf.exp(x as tf.Tensor);
    const sums = [0, 1].map(() => tf.sum(tf.mul(x as tf.Tensor, 2)));
    return { y: tf.add(sums[0] as tf.Tensor, sums[1] as tf.Tensor) };
  });
  expect(kernels(plan)).toEqual(["Multiply", "Sum", "Add"]);
  const [, sum, add] = plan.instructions;
  expect(Object.values(add?.inputs ?? {})).toEqual([sum?.outputs[0], sum?.outputs[0]]);
});

test("sums over different axes, and constants of other values, are different", async () => {
  const plan = await planned(
    ({ x }) => ({
      rows: tf.sum(tf.mul(x as tf.Tensor, 2), 0),
      columns: tf.sum(tf.mul(x as tf.Tensor, 3), 1),
      all: tf.sum(tf.mul(x as tf.Tensor, 2), 1),
    }),
    [2, 2],
  );
  expect(kernels(plan).toSorted()).toEqual(["Multiply", "Multiply", "Sum", "Sum", "Sum"]);
});

test("a tensor is freed by its last reader; results and constants are not", async () => {
  const plan = await planned(({ x }) => {
    const [a, b] = [tf.exp(x as tf.Tensor), tf.mul(x as tf.Tensor, 2)];
    return { a, y: tf.add(tf.neg(b), tf.mul(b, a)) };
  });
  const freed = plan.instructions.flatMap(({ frees }) => frees);
  expect(new Set(freed).size).toBe(freed.length);
  const kept = [...plan.outputs.values()].map(({ tensor }) => tensor);
  const all = plan.instructions.flatMap(({ inputs, outputs }) => [
    ...Object.values(inputs),
    ...outputs,
  ]);
  const expected = new Set(all.filter((t) => !kept.includes(t) && !plan.constants.has(t)));
  expect(new Set(freed)).toEqual(expected);
  plan.instructions.forEach(({ frees }, i) => {
    const later = plan.instructions.slice(i + 1).flatMap(({ inputs }) => Object.values(inputs));
    for (const tensor of frees) expect(later).not.toContain(tensor);
  });
});

test("gradients of ReLU and ReLU6 are one operator each", async () => {
  const gradientOf = (activate: (x: tf.Tensor) => tf.Tensor): StepFunction => {
    return ({ x }) => ({ dx: tf.grad((v: tf.Tensor) => activate(v))(x as tf.Tensor) });
  };
  const relu = await planned(gradientOf((x) => tf.mul(tf.relu(x), 3)));
  expect(kernels(relu).filter((kernel) => kernel !== "Multiply")).toEqual(
    expect.arrayContaining(["quantbench/ReluGrad"]),
  );
  expect(kernels(relu)).not.toContain("Step");
});

test("a product with the mask of another tensor's shape stays a product", async () => {
  const plan = await planned(
    ({ x }) => ({ y: tf.mul(tf.slice(x as tf.Tensor, [0, 0], [2, 1]), tf.step(x as tf.Tensor)) }),
    [2, 2],
  );
  expect(kernels(plan)).toEqual(["Slice", "Step", "Multiply"]);
});
