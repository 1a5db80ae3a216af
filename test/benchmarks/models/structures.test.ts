import { expect, test } from "vitest";
import { structures } from "../../../benchmarks/models/structures.js";
import {
  featureShapes,
  multiplications,
  parameterSpecs,
} from "../../../pipelines/network/index.js";
import type { Network } from "../../../algorithms/network.js";

/** A unit's weights, with the pixels at which each is multiplied: before the stride, between, behind. */
interface Unit {
  readonly inputs: number;
  readonly outputs: number;
  readonly before: number;
  readonly between: number;
  readonly behind: number;
}
type Terms = readonly (readonly [weights: number, pixels: number])[];

/** By hand from what the structures are. */
const UNITS: Readonly<Record<string, (unit: Unit) => Terms>> = {
  plain: ({ inputs: i, outputs: o, behind }) => [[9 * i * o, behind]],
  bottleneck: ({ inputs: i, outputs: o, before, behind }) => [
    [(i * o) / 4, before],
    [9 * (o / 4) ** 2, behind],
    [(o / 4) * o, behind],
  ],
  invertedBottleneck: ({ inputs: i, outputs: o, before, behind }) => [
    [6 * i * i, before],
    [9 * 6 * i, behind],
    [6 * i * o, behind],
  ],
  depthwiseSeparable: ({ inputs: i, outputs: o, behind }) => [
    [9 * i, behind],
    [i * o, behind],
  ],
  groupedShuffle: ({ inputs: i, outputs: o, behind }) => [[(9 * i * o) / 4, behind]],
  lowRank: ({ inputs: i, outputs: o, between, behind }) => [
    [3 * i * o, between],
    [3 * o * o, behind],
  ],
};

/** Stem, six units, dense layer, on 28 x 28 pixels of one channel and 10 classes. */
function closedForm(name: string, [a = 0, b = 0, c = 0]: readonly number[]) {
  const units = [
    { inputs: a, outputs: a, before: 784, between: 784, behind: 784 },
    { inputs: a, outputs: a, before: 784, between: 784, behind: 784 },
    { inputs: a, outputs: b, before: 784, between: 14 * 28, behind: 196 },
    { inputs: b, outputs: b, before: 196, between: 196, behind: 196 },
    { inputs: b, outputs: c, before: 196, between: 7 * 14, behind: 49 },
    { inputs: c, outputs: c, before: 49, between: 49, behind: 49 },
  ];
  const of = UNITS[name];
  if (of === undefined) throw new Error(`no closed form of ${name}`);
  const terms: Terms = [[9 * a, 784], ...units.flatMap(of), [c * 10, 1]];
  return {
    weights: terms.reduce((sum, [weights]) => sum + weights, 0),
    macs: terms.reduce((sum, [weights, pixels]) => sum + weights * pixels, 0),
  };
}

function counted(network: Network): { weights: number; macs: number } {
  const kernels = [...parameterSpecs(network)].filter(([name]) => name.endsWith("/kernel"));
  return {
    weights: kernels.reduce((sum, [, { shape }]) => sum + shape.reduce((a, b) => a * b, 1), 0),
    macs: [...multiplications(network).values()].reduce((a, b) => a + b, 0),
  };
}

test.each(structures)("$title has the weights and multiplications of its closed form", (model) => {
  for (const width of [8, 16]) {
    const network = model.build({ inputShape: [28, 28, 1], classes: 10, width });
    const shapes = featureShapes(network);
    const channels = [0, 1, 2].map((stage) => shapes.get(`s${String(stage)}.1.add`)?.at(-1) ?? 0);
    const found = counted(network);
    expect(found).toEqual(closedForm(model.name, channels));
    const plain = closedForm("plain", [width, 2 * width, 4 * width]);
    expect(Math.abs(found.macs / plain.macs - 1)).toBeLessThan(0.1);
  }
});

test("they differ in weights and channels at equal multiplications", () => {
  const options = { inputShape: [28, 28, 1], classes: 10, width: 8 };
  const found = structures.map((model) => {
    const { weights, macs } = counted(model.build(options));
    return [model.name, weights, Number((macs / 1e6).toFixed(2))];
  });
  expect(found).toMatchInlineSnapshot(`
    [
      [
        "plain",
        18824,
        2.31,
      ],
      [
        "bottleneck",
        17830,
        2.3,
      ],
      [
        "invertedBottleneck",
        13323,
        2.12,
      ],
      [
        "depthwiseSeparable",
        16992,
        2.33,
      ],
      [
        "groupedShuffle",
        17772,
        2.3,
      ],
      [
        "lowRank",
        17720,
        2.31,
      ],
    ]
  `);
});
