import * as tf from "#tf";
import { beforeAll, expect, test } from "vitest";
import { cyclicOrder, inParallel, shuffleOrder } from "../../algorithms/parallelNetwork.js";
import { palquant } from "../../algorithms/palquant.js";
import { resnet8 } from "../../benchmarks/models/index.js";
import {
  forward,
  inheritParameters,
  initialParameters,
  multiplications,
  parameterSpecs,
  unquantized,
} from "../../pipelines/network/index.js";
import type { Network } from "../../algorithms/network.js";
import { normalValues, numbers } from "../support.js";

beforeAll(() => tf.setBackend("cpu"));

const options = { inputShape: [8, 8, 1], classes: 4, width: 4 };
const network = resnet8.build(options);
const images = () => tf.tensor(normalValues(128, 9), [2, 8, 8, 1]);

function run(
  net: Network,
  change: (name: string, data: Float32Array) => Float32Array = (_, d) => d,
) {
  const parameters = Object.fromEntries(
    Object.entries(initialParameters(net, 0)).map(([name, { shape, data }]) => [
      name,
      tf.tensor(change(name, Float32Array.from(data)), [...shape]),
    ]),
  );
  return forward(net, images(), { parameters, training: false, quantize: unquantized });
}

test("one group without shuffles is the network itself", () => {
  expect(numbers(run(inParallel(network, 1, false)).logits)).toEqual(numbers(run(network).logits));
});

test("the cyclic order applied once for each group changes nothing; two groups swap", () => {
  for (const groups of [2, 3, 4]) {
    let channels = Array.from({ length: 12 }, (_, i) => i);
    const order = cyclicOrder(12, groups);
    for (let i = 0; i < groups; i++) channels = order.map((channel) => channels[channel] ?? -1);
    expect(channels).toEqual([...channels.keys()]);
  }
  expect(cyclicOrder(6, 2)).toEqual([3, 4, 5, 0, 1, 2]);
  expect(shuffleOrder(6, 2)).toEqual([0, 3, 1, 4, 2, 5]);
});

/** Which groups' features in front of the classifier a change of group 0 behind the stem reaches. */
function reached(groups: number, shuffles: boolean, tensor: string): boolean[] {
  const net = inParallel(network, groups, shuffles);
  const disturb = (name: string, data: Float32Array) =>
    name === "stem.bn/beta" ? data.map((v, i) => (i < 4 ? v + 1 : v)) : data;
  const [before, after] = [run(net), run(net, disturb)].map(({ outputs }) =>
    numbers(tf.mean(outputs.get(tensor) as tf.Tensor, [0, 1, 2])),
  );
  const size = (before?.length ?? 0) / groups;
  return Array.from({ length: groups }, (_, group) =>
    (before ?? [])
      .slice(group * size, (group + 1) * size)
      .some((value, i) => value !== after?.[group * size + i]),
  );
}

test("without shuffles no group hears of another before the classifier", () => {
  expect(reached(3, false, "s2.0.relu")).toEqual([true, false, false]);
});

test("one cyclic module carries group i to group i - 1 alone", () => {
  expect(reached(3, true, "s0.0.relu.cyclic.add")).toEqual([true, false, true]);
});

test("quantized multiplications and weights grow with the number of groups, shuffles aside", () => {
  const inner = (groups: number, of: "weights" | "multiplications") => {
    const net = inParallel(network, groups, false);
    const names = net.nodes
      .filter(({ op, name }) => op === "conv2d" && name !== "stem")
      .map(({ name }) => name);
    const specs = parameterSpecs(net);
    const count = (name: string) =>
      of === "weights"
        ? (specs.get(`${name}/kernel`)?.shape ?? []).reduce((a, b) => a * b, 1)
        : (multiplications(net).get(name) ?? 0);
    return names.reduce((sum, name) => sum + count(name), 0);
  };
  for (const what of ["weights", "multiplications"] as const) {
    expect(inner(3, what)).toBe(3 * inner(1, what));
  }
});

test("starts near what the float network computes", () => {
  const checkpoint = initialParameters(network, 5);
  const net = inParallel(network, 2);
  const inherited = inheritParameters(net, checkpoint, { algorithm: palquant, seed: 0 });
  const toTensors = (values: typeof checkpoint) =>
    Object.fromEntries(
      Object.entries(values).map(([name, { shape, data }]) => [name, tf.tensor(data, [...shape])]),
    );
  const common = { training: false, quantize: unquantized };
  const exact = numbers(
    forward(network, images(), { parameters: toTensors(checkpoint), ...common }).logits,
  );
  const start = numbers(
    forward(net, images(), { parameters: toTensors(inherited), ...common }).logits,
  );
  const size = Math.max(...exact.map(Math.abs));
  start.forEach((logit, i) => {
    expect(Math.abs(logit - (exact[i] ?? NaN)) / size).toBeLessThan(0.5);
  });
});
