import * as tf from "#tf";
import { describe, expect, test } from "vitest";
import {
  fakeQuantize,
  rangeOf,
  usableScale,
  valueOf,
  zeroPointOf,
} from "../../algorithms/affine.js";
import type { Algorithm, Quantizer } from "../../algorithms/algorithm.js";
import { dsq } from "../../algorithms/dsq.js";
import { scaleGradient, stopGradient } from "../../algorithms/gradients.js";
import { lsq } from "../../algorithms/lsq.js";
import { lsqMqbench } from "../../algorithms/lsqMqbench.js";
import { minMax } from "../../algorithms/minMax.js";
import { qilMqbench } from "../../algorithms/qilMqbench.js";
import { acl } from "../../backends/acl.js";
import { academic } from "../../backends/academic.js";
import type { BackendProfile } from "../../backends/backend.js";
import { checkAlgorithm } from "../../pipelines/conformance/index.js";
import { nativeEngines } from "../../pipelines/engine/index.js";

const engines = await nativeEngines();

/** What the suite finds in min-max with another quantizer. */
async function problems(changes: Partial<Algorithm>, backend: BackendProfile = academic) {
  const { findings } = await checkAlgorithm({ ...minMax, ...changes }, [backend]);
  return findings.map(({ check, problem }) => `${check}: ${problem}`).join("\n");
}

describe("a gradient that must not flow", () => {
  /** A scale from the root of squares; how it becomes a constant decides. */
  const withRoot = (root: (w: tf.Tensor) => tf.Tensor): Quantizer => ({
    learned: [],
    observe: () => ({}),
    initialize: () => ({}),
    fakeQuantize: (w, _, site) =>
      fakeQuantize(w, usableScale(root(w), site.scheme), undefined, rangeOf(site)),
    quantParams(_, site, w) {
      if (w === undefined) throw new TypeError("its grid depends on the weights");
      const scale = usableScale(root(w), site.scheme);
      return { scale, zeroPoint: tf.zerosLike(scale) };
    },
  });
  const rootOfSquares = (w: tf.Tensor) => tf.sqrt(tf.mean(tf.square(w)));

  test("is found where it is a product with zero", async () => {
    const product = withRoot((w) => scaleGradient(rootOfSquares(w), 0));
    expect(await problems({ weight: product })).toMatch(
      /all stays finite .*: (denormal values|nothing but zeros): the gradient of x is NaN/,
    );
  });

  test.each(engines.map((engine) => [engine.lowering ?? engine.name, engine] as const))(
    "is found on %s too",
    async (_, engine) => {
      const product = withRoot((w) => scaleGradient(rootOfSquares(w), 0));
      const changed = { ...minMax, weight: product };
      const { findings } = await checkAlgorithm(changed, [academic], [engine]);
      const own = findings.filter(({ problem }) => problem.startsWith(`on ${engine.name}`));
      expect(own.map(({ problem }) => problem).join()).toMatch(/the gradient of x is NaN/);
    },
  );

  test("passes where it is zeros", async () => {
    expect(await problems({ weight: withRoot((w) => rootOfSquares(stopGradient(w))) })).toBe("");
  });
});

describe("the range on the wrong side of rounding is found where", () => {
  test("LSQ asks after rounding", async () => {
    const rounded: Quantizer = { ...lsqMqbench.activation, passes: "exact" };
    expect(await problems({ activation: rounded })).toMatch(
      /values get a gradient where the quantizer says .* beyond the \w+ integer/,
    );
  });

  test("an adapter says that it follows PyTorch, and asks before rounding", async () => {
    expect(await problems({ weight: { ...lsq.weight, passes: "rounded" } })).toMatch(
      /the gradient 0\.25 steps beyond the \w+ integer is 0, but "rounded" values pass/,
    );
  });
});

describe("gradients of learned values that are not whole are found where", () => {
  test("a zero point is taken for a constant though it follows the lower bound", async () => {
    const grid: Quantizer["quantParams"] = (values, site) => {
      const high = valueOf(values, "upper");
      const low = site.nonNegative ? tf.zerosLike(high) : valueOf(values, "lower");
      const { quantMin, quantMax } = rangeOf(site);
      const scale = usableScale(tf.div(tf.sub(high, low), quantMax - quantMin), site.scheme);
      return { scale, zeroPoint: zeroPointOf(stopGradient(low), stopGradient(scale), site) };
    };
    const lost: Quantizer = {
      ...dsq.activation,
      learned: ["lower", "upper"],
      fakeQuantize(x, values, site) {
        const { scale, zeroPoint } = grid(values, site);
        return fakeQuantize(x, scale, zeroPoint, rangeOf(site));
      },
      quantParams: grid,
    };
    expect(await problems({ activation: lost }, acl)).toMatch(/add up .*: a moved tensor/);
  });

  test("what is clipped above counts twice", async () => {
    const twice: Quantizer = {
      ...lsq.activation,
      fakeQuantize(x, values, site) {
        const scale = valueOf(values, "scale");
        const top = tf.mul(stopGradient(scale), rangeOf(site).quantMax);
        const above = tf.step(tf.sub(stopGradient(x), top));
        const nothing = tf.mul(tf.sub(scale, stopGradient(scale)), above);
        return tf.add(lsq.activation.fakeQuantize(x, values, site), nothing);
      },
    };
    expect(await problems({ activation: twice })).toMatch(/add up to the change of the output/);
  });
});

describe("the batch in a scale of gradients is found", () => {
  test("where a quantizer says that it counts, and leaves it out", async () => {
    expect(await problems({ activation: { ...lsq.activation, countsBatch: true } })).toMatch(
      /follow the batch .*: twice the batch scales them by (1|0\.999\d*|1\.000\d*), not by 0\.707/,
    );
  });

  test.each([["uniform", lsqMqbench] as const, ["codebook", qilMqbench] as const])(
    "where it counts without a word, on %s levels",
    async (_, { activation }) => {
      expect(await problems({ activation: { ...activation, countsBatch: false } })).toMatch(
        /follow the batch .*: twice the batch scales them by 0\.707\d*, not by 1/,
      );
    },
  );
});
