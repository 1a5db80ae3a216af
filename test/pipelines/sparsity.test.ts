import { expect, test } from "vitest";
import type { Network } from "../../algorithms/network.js";
import { onnxruntime } from "../../backends/onnxruntime.js";
import { freezeFloat, sparsityOf, type FrozenNetwork } from "../../pipelines/freeze/index.js";
import { parameterSpecs, placeQuantizers } from "../../pipelines/network/index.js";

const NETWORK: Network = {
  nodes: [
    { op: "input", name: "image", shape: [4, 4, 8] },
    {
      ...{ op: "conv2d", name: "conv", input: "image", filters: 3, kernelSize: 3, stride: 1 },
      ...{ depthwise: false, bias: true },
    },
    { op: "globalAveragePool", name: "pool", input: "conv" },
    { op: "dense", name: "classifier", input: "pool", units: 5 },
  ],
};
/** 216 and 15 weights; 4 x 4 pixels. */
const { network, sites } = placeQuantizers(NETWORK, onnxruntime, { weights: 4, activations: 4 });

/** 8-bit integers (both layers are edges), 0 where `zero` says so. */
function integers(zero: (input: number) => boolean): FrozenNetwork {
  const weights = new Map(
    sites
      .filter(({ role }) => role === "weight")
      .map(({ id, shape }) => {
        const outputs = shape.at(-1) ?? 1;
        const inputs = shape.at(-2) ?? 1;
        const codes = Int32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) =>
          zero(Math.floor(i / outputs) % inputs) ? 0 : 7,
        );
        const one = new Float32Array(outputs);
        return [id, { on: { scale: one.fill(0.1), zeroPoint: new Float32Array(outputs) }, codes }];
      }),
  );
  return { ...freezeFloat(network, biases()), sites, kernels: new Map(), weights };
}

const biases = () =>
  Object.fromEntries(
    ["conv", "classifier"].map((name) => {
      const { shape = [] } = parameterSpecs(network).get(`${name}/bias`) ?? {};
      const data = new Float32Array(shape[0] ?? 0);
      return [`${name}/bias`, { dtype: "float32" as const, shape, data }];
    }),
  );

test("weights without zeros are stored dense", () => {
  expect(sparsityOf(integers(() => false))).toEqual({
    ...{ weights: 231, nonzero: 231, effectiveMacs: 216 * 16 + 15 },
    ...{ storedBytes: 231, format: "dense" },
  });
});

test("weights that shift multiply nothing", () => {
  const operators = new Map([["conv/kernel", "shift" as const]]);
  const { weights, effectiveMacs } = sparsityOf(
    integers(() => false),
    new Map(),
    operators,
  );
  expect([weights, effectiveMacs]).toEqual([231, 15]);
});

test("scattered zeros are a bit each, and no multiplication", () => {
  // Every third input channel stays: 3 of 8 of the convolution, 1 of 3 of the dense layer.
  const { nonzero, effectiveMacs, storedBytes, format } = sparsityOf(
    integers((input) => input % 3 !== 0),
  );
  expect(nonzero).toBe(81 + 5);
  expect(effectiveMacs).toBe(81 * 16 + 5);
  expect(format).toBe("bitmap");
  expect(storedBytes).toBe(Math.ceil((216 + 81 * 8 + 15 + 5 * 8) / 8));
});

test("two of four along input channels take their values and 2 bits each", () => {
  // The dense layer has three inputs, no multiple of four: it stays as it is.
  const frozen = integers((input) => input % 4 < 2);
  const all = integers(() => false).weights;
  const withDense = (codes?: Int32Array) => {
    const conv = frozen.weights.get("conv/kernel");
    const classifier = all.get("classifier/kernel");
    if (conv === undefined || classifier === undefined) throw new Error("no weights");
    const weights = [
      ["conv/kernel", { ...conv, codes: codes ?? conv.codes }],
      ["classifier/kernel", classifier],
    ] as const;
    return sparsityOf({ ...frozen, weights: new Map(weights) });
  };
  const { storedBytes, format } = withDense();
  expect(format).toBe("2:4");
  expect(storedBytes).toBe((108 * 10 + 15 * 8) / 8);
  // One value more in a group, which is one too many.
  const codes = Int32Array.from(frozen.weights.get("conv/kernel")?.codes ?? []);
  codes[0] = 7;
  expect(withDense(codes)).toMatchObject({ format: "bitmap", nonzero: 108 + 1 + 15 });
});

test("floats that are 0 count too, at 32 bits", () => {
  const kernels = new Map(
    [...parameterSpecs(NETWORK)]
      .filter(([name]) => name.endsWith("/kernel"))
      .map(([name, { shape }]) => {
        const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).map((_, i) => i % 2);
        return [name, { dtype: "float32" as const, shape, data }];
      }),
  );
  const frozen = { ...freezeFloat(NETWORK, biases()), kernels };
  const { nonzero, storedBytes, format } = sparsityOf(frozen);
  expect([nonzero, format]).toEqual([108 + 7, "bitmap"]);
  expect(storedBytes).toBe(Math.ceil((231 + (108 + 7) * 32) / 8));
});
