import * as tf from "#tf";
import { beforeAll, expect, test } from "vitest";
import type { QuantizerSite } from "../../../algorithms/algorithm.js";
import { pact } from "../../../algorithms/pact.js";
import { atWidth, codesAt } from "../../../algorithms/search/runtimeGrid.js";
import { runtimePact } from "../../../algorithms/search/runtimePact.js";
import { backends } from "../../../backends/index.js";
import { placesOf } from "../../../pipelines/conformance/index.js";
import { normalValues, numbers, toTensors } from "../../support.js";

beforeAll(() => tf.setBackend("cpu"));

/** One place of each number format and kind. */
const places = new Map(
  placesOf(backends)
    .filter(({ site }) => site.scheme.levels !== "logarithmic")
    .map((place) => [JSON.stringify([place.kind, { ...place.site.scheme, bitWidth: 0 }]), place]),
);

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Values and gradients of a quantizer, by all that it reads. */
function results(
  quantize: (x: tf.Tensor, values: Readonly<Record<string, tf.Tensor>>) => tf.Tensor,
  site: QuantizerSite,
  learned: Readonly<Record<string, tf.Tensor>>,
) {
  const shape = site.role === "weight" ? [...site.shape] : [2, ...site.shape];
  const x = tf.tensor(normalValues(sizeOf(shape), 3, site.role === "weight" ? 0.2 : 4), shape);
  const names = Object.keys(learned);
  const dy = tf.tensor(normalValues(x.size, 4), shape);
  const gradients = tf.grads((given: tf.Tensor, ...values: tf.Tensor[]) =>
    quantize(
      site.nonNegative ? tf.relu(given) : given,
      Object.fromEntries(names.map((name, i) => [name, values[i] as tf.Tensor])),
    ),
  )([x, ...names.map((name) => learned[name] as tf.Tensor)], dy);
  const y = quantize(site.nonNegative ? tf.relu(x) : x, learned);
  return [y, ...gradients].map(numbers);
}

test.each([...places.values()])(
  "PACT with bits as inputs computes what PACT does at each of them: $backend, $kind",
  ({ site }) => {
    for (const bits of [2, 3, 4, 8]) {
      const fixed = atWidth(site, bits);
      const quantizer = site.role === "weight" ? pact.weight : pact.activation;
      const learned = toTensors(quantizer.initialize([], fixed));
      const codes = toTensors(codesAt(site, bits));
      const own = results((x, values) => quantizer.fakeQuantize(x, values, fixed), site, learned);
      const withCodes: typeof quantizer.fakeQuantize = (x, values) =>
        runtimePact(x, { ...values, ...codes }, site);
      const runtime = results((x, values) => withCodes(x, values, site), site, learned);
      expect(runtime[0]).toEqual(own[0]);
      // Gradients go through a division and a product more.
      own.slice(1).forEach((gradient, i) => {
        const other = runtime[i + 1] ?? [];
        const worst = gradient.map((g, j) => Math.abs(g - (other[j] ?? NaN)) / (1 + Math.abs(g)));
        expect(Math.max(...worst)).toBeLessThan(1e-5);
      });
    }
  },
);
