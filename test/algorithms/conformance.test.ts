import * as tf from "#tf";
import { beforeAll, describe, expect, test } from "vitest";
import type { Algorithm, Quantizer } from "../../algorithms/algorithm.js";
import { coveringGrid, fakeQuantize, rangeOf, valueOf } from "../../algorithms/affine.js";
import { dsq } from "../../algorithms/dsq.js";
import { algorithms } from "../../algorithms/index.js";
import { lsq } from "../../algorithms/lsq.js";
import { minMax } from "../../algorithms/minMax.js";
import {
  coverRange,
  gridsFrom,
  minMaxObserver,
  observers,
  type Observer,
} from "../../algorithms/observers/index.js";
import { pact } from "../../algorithms/pact.js";
import { qil } from "../../algorithms/qil.js";
import { academic } from "../../backends/academic.js";
import type { BackendProfile } from "../../backends/backend.js";
import { backends } from "../../backends/index.js";
import { tensorrt } from "../../backends/tensorrt.js";
import { tvm } from "../../backends/tvm.js";
import { checkAlgorithm, observerProblems, placesOf } from "../../pipelines/conformance/index.js";
import { nativeEngines } from "../../pipelines/engine/index.js";

beforeAll(() => tf.setBackend("cpu"));

const engines = await nativeEngines();

describe("every algorithm passes on every number format of every backend that it supports:", () => {
  test.each(algorithms)("$name", async (algorithm) => {
    const { findings, known, places } = await checkAlgorithm(algorithm, backends, engines);
    expect(findings.map(({ place, check, problem }) => [place.backend, check, problem])).toEqual(
      [],
    );
    expect(places).toBeGreaterThan(0);
    // A declared defect that is gone must not stay declared.
    expect(known.length > 0).toBe(algorithm.knownDefects !== undefined);
  });
});

describe("it catches what is wrong with", () => {
  const problems = async (changes: Partial<Algorithm>, backend: BackendProfile = academic) => {
    const { findings } = await checkAlgorithm({ ...minMax, ...changes }, [backend]);
    return findings.map(({ check, problem }) => `${check}: ${problem}`).join("\n");
  };

  test("QIL without a clamp for unsigned activations, which has more levels than its bits", async () => {
    const unclamped: Quantizer = {
      ...qil.activation,
      fakeQuantize(x, values, site) {
        if (!site.nonNegative || site.scheme.bitWidth >= 8)
          return qil.activation.fakeQuantize(x, values, site);
        const slope = tf.div(0.5, valueOf(values, "distance"));
        const offset = tf.sub(0.5, tf.mul(slope, valueOf(values, "center")));
        const parts = 2 ** site.scheme.bitWidth - 1;
        return tf.div(tf.round(tf.mul(tf.add(tf.mul(x, slope), offset), parts)), parts);
      },
    };
    expect(await problems({ activation: unclamped })).toMatch(/is on none of its levels/);
  });

  test("PACT whose bound gets no gradient while observers are off", async () => {
    const dead: Quantizer = {
      ...pact.activation,
      fakeQuantize: (x, values, site) =>
        pact.activation.fakeQuantize(
          x,
          Object.fromEntries(
            Object.entries(values).map(([name, value]) => [name, tf.mul(value, 0).add(6)]),
          ),
          site,
        ),
    };
    expect(await problems({ activation: dead }, tensorrt)).toMatch(/no gradient reaches alpha/);
  });

  test("a KL divergence of histograms over different ranges, which is NaN", async () => {
    const broken: Observer = {
      name: "broken",
      observe: minMaxObserver.observe,
      grid: (batches, index, site) => {
        const { scale, zeroPoint } = minMaxObserver.grid(batches, index, site);
        return { scale: scale * (0 * Math.log(0)), zeroPoint }; // an empty bin of the reference
      },
    };
    const quantizer: Quantizer = {
      ...minMax.activation,
      initialize: (batches, site) => gridsFrom(broken, batches, site),
    };
    expect(await problems({ activation: quantizer })).toMatch(/scale starts as NaN/);
    expect(observerProblems(broken, placeOf("weight")).join()).toMatch(/scale is NaN/);
  });

  test("LSQ that rounds its scale to a power of two only when it starts", async () => {
    const drifting: Quantizer = {
      ...lsq.activation,
      fakeQuantize: (x, values, site) =>
        fakeQuantize(x, valueOf(values, "scale"), undefined, rangeOf(site)),
      quantParams: (values) => {
        const scale = valueOf(values, "scale");
        return { scale, zeroPoint: tf.zerosLike(scale) };
      },
      initialize: (batches, site) => gridsFrom(minMaxObserver, batches, site),
    };
    const found = await problems({ activation: drifting }, tvm);
    expect(found).toMatch(/after steps of training: a scale is .* not a power of two/);
    expect(found).not.toMatch(/valid grid: a scale/);
  });

  test("DSQ that is a plain straight-through estimator", async () => {
    const plain: Quantizer = {
      ...dsq.activation,
      fakeQuantize(x, values, site) {
        const { scale, zeroPoint } = dsq.activation.quantParams(values, site);
        const y = fakeQuantize(x, scale, zeroPoint, rangeOf(site));
        return tf.add(y, tf.mul(valueOf(values, "alpha"), 0));
      },
    };
    expect(await problems({ activation: plain })).toMatch(/no gradient reaches alpha/);
  });

  test("ClipStd, which widens the range that it should clip", () => {
    const clipStd: Observer = {
      name: "clipStd",
      clips: true,
      observe(x, site) {
        const { mean, variance } = tf.moments(x);
        const reach = tf.mul(tf.sqrt(variance), 30); // heavy tails: far beyond the extremes
        const { min, max } = minMaxObserver.observe(x, site);
        return {
          min: tf.minimum(tf.sub(mean, reach), min as tf.Tensor),
          max: tf.maximum(tf.add(mean, reach), max as tf.Tensor),
        };
      },
      grid: minMaxObserver.grid,
    };
    expect(observerProblems(clipStd, placeOf("weight")).join()).toMatch(/says that it clips/);
  });

  test("a signed grid without its zero point", async () => {
    const shifted: Quantizer = {
      ...minMax.weight,
      fakeQuantize: (x, values, site) =>
        tf.add(minMax.weight.fakeQuantize(x, values, site), tf.mul(valueOf(values, "scale"), 0.5)),
    };
    expect(await problems({ weight: shifted })).toMatch(/is not on its grid/);
  });

  test("rounding halves up, as Math.round does", async () => {
    const halfUp: Quantizer = {
      ...minMax.activation,
      fakeQuantize(x, values, site) {
        const { quantMin, quantMax } = rangeOf(site);
        const scale = valueOf(values, "scale");
        const steps = tf.floor(tf.add(tf.div(x, scale), 0.5));
        return tf.mul(tf.clipByValue(steps, quantMin, quantMax), scale);
      },
    };
    expect(await problems({ activation: halfUp }, tensorrt)).toMatch(/ties included/);
  });

  test("per-channel scales that follow the wrong axis", async () => {
    const wrong: Quantizer = {
      ...minMax.weight,
      fakeQuantize(x, values, site) {
        const grid = coveringGrid(x, { ...site, channelAxis: 2 });
        return fakeQuantize(x, grid.scale, grid.zeroPoint, rangeOf(site));
      },
    };
    expect(await problems({ weight: wrong }, tensorrt)).not.toBe("");
  });
});

function placeOf(kind: "weight" | "rectified activation") {
  const place = placesOf([academic]).find((p) => p.kind === kind && p.site.scheme.bitWidth === 4);
  if (place === undefined) throw new Error(kind);
  return place.site;
}

test.each(observers)(
  "observer $name gives a usable grid everywhere and keeps its promise",
  (observer) => {
    for (const { site } of placesOf(backends)) {
      if (site.scheme.levels === "logarithmic") continue;
      expect(observerProblems(observer, site)).toEqual([]);
    }
    expect(coverRange({ min: 0, max: 0 }, placeOf("weight")).scale).toBeGreaterThan(0);
  },
);
