import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { trafficOf, loopsOf, type Mapping } from "../../backends/hardware/chunks/mapping.js";
import { AREA, AREA_BUDGET, splitElements } from "../../backends/hardware/chunks/split.js";
import { OPERATORS, type LayerWork, type OperatorKind } from "../../backends/hardware/hardware.js";
import { costOnChunks, nasaChunks } from "../../backends/hardware/nasaChunks.js";
import { mobileNetV2, resnet8 } from "../../benchmarks/models/index.js";
import { layerWork } from "../../pipelines/network/index.js";

/** 3 x 3 over 6 x 6 pixels, 4 to 8 channels, unless changed. */
const layer = (changes: Partial<LayerWork> = {}): LayerWork => ({
  ...{ layer: "layer", kind: "convolution", taps: 36, window: 9, outputChannels: 8, groups: 1 },
  ...{ outputPixels: 36, inputValues: 144, weightBits: 8, activationBits: 8 },
  ...changes,
});
const depthwise = layer({ kind: "depthwise", taps: 9, groups: 8, inputValues: 288 });
const shift = layer({ operator: "shift", taps: 72, inputValues: 288, weightBits: 4 });
const adder = layer({
  ...{ operator: "adder", taps: 8, window: 1, outputChannels: 16, inputValues: 288 },
});

const hybrid = [layer(), depthwise, shift, adder];
const edp = ({ cycles, picojoules }: { cycles: number; picojoules: number }) => cycles * picojoules;

/** Every third layer of a network of another kind. */
const mixed = (
  network: Parameters<typeof layerWork>[0],
  kinds: readonly OperatorKind[] = OPERATORS,
): LayerWork[] =>
  layerWork(network, []).map((work, i) => ({
    ...{ ...work, weightBits: 8, activationBits: 8 },
    operator: kinds[i % kinds.length] ?? "convolution",
  }));

// Expected: a program in Python float64 that walks every loop nest tile by tile and counts a
// fetch whenever a tensor's tile is another one than before.
describe("golden values of loop nests that were walked tile by tile", () => {
  const three = (outputs: number, inputs: number, pixels: number) => ({ outputs, inputs, pixels });
  test.each<[Mapping, number, number]>([
    [
      {
        ...{ order: "output", buffer: three(2, 4, 9), registers: three(1, 2, 3) },
        across: { outputs: 2, pixels: 3 },
      },
      ...([1152, 144_720] as const),
    ],
    [
      {
        ...{ order: "weight", buffer: three(4, 2, 12), registers: three(1, 1, 4) },
        across: { outputs: 4, pixels: 2 },
      },
      ...([3168, 414_432] as const),
    ],
    [
      {
        ...{ order: "row", buffer: three(2, 2, 9), registers: three(1, 2, 1) },
        across: { outputs: 2, pixels: 3 },
      },
      ...([3456, 388_224] as const),
    ],
    [
      {
        ...{ order: "input", buffer: three(2, 4, 9), registers: three(2, 1, 3) },
        across: { outputs: 1, pixels: 3 },
      },
      ...([1584, 224_928] as const),
    ],
  ])("%j", (mapping, dramBytes, picojoules) => {
    const { dram, buffer, network, registers } = trafficOf(loopsOf(layer()), mapping);
    expect(dram).toBe(dramBytes);
    expect(dram * 100 + buffer * 3 + network + registers / 2).toBeCloseTo(picojoules, 6);
  });

  test.each([
    [
      "convolutions alone",
      [layer(), { ...shift, operator: "convolution" }, { ...adder, operator: "convolution" }],
      1024,
      64,
      [214, 351_785.6, 214, 348_214.4],
      [214, 405_161.6],
    ],
    [
      "all three, small memories",
      hybrid,
      2048,
      64,
      [202, 421_534.304, 417, 417_703.904],
      [202, 503_938.304],
    ],
    [
      "all three, Eyeriss's memories",
      hybrid,
      108 * 1024,
      512,
      [202, 392_518.304, 417, 388_687.904],
      [202, 631_618.304],
    ],
  ] as const)("%s", (_, work, bufferBytes, registerBytes, found, fixed) => {
    const cost = costOnChunks(work, { bufferBytes, registerBytes });
    const { cyclesOfOneImage, picojoulesWithoutSums } = cost.mapping;
    expect([cost.cycles, cyclesOfOneImage]).toEqual([found[0], found[2]]);
    expect(cost.picojoules).toBeCloseTo(found[1], 5);
    expect(picojoulesWithoutSums).toBeCloseTo(found[3], 5);
    expect(cost.mapping.fixed.cycles).toBe(fixed[0]);
    expect(cost.mapping.fixed.picojoules).toBeCloseTo(fixed[1], 5);
  });
});

describe("elements", () => {
  test("are Eyeriss's 168 where all layers are convolutions", () => {
    const found = splitElements({ convolution: 1e6, shift: 0, adder: 0 });
    expect(found).toEqual({ convolution: 168, shift: 0, adder: 0 });
  });

  test("fit the area, and are so many that chunks take as long but for one element", () => {
    const operations = fc.record({
      ...{ convolution: fc.integer({ min: 0, max: 1e7 }), shift: fc.integer({ min: 0, max: 1e7 }) },
      adder: fc.integer({ min: 1, max: 1e7 }),
    });
    fc.assert(
      fc.property(operations, (counts) => {
        const elements = splitElements(counts);
        const area = OPERATORS.reduce((sum, one) => sum + AREA[one] * elements[one], 0);
        expect(area).toBeLessThanOrEqual(AREA_BUDGET * (1 + 1e-9));
        const busy = OPERATORS.filter((one) => counts[one] > 0);
        for (const slow of busy)
          for (const fast of busy.filter((one) => elements[one] > 1)) {
            // One element more, and the slow chunk would not be the slower one.
            const quicker = counts[slow] / (elements[slow] + 1);
            expect(quicker).toBeLessThanOrEqual((counts[fast] / elements[fast]) * (1 + 1e-6));
          }
        for (const one of OPERATORS) expect(elements[one] > 0).toBe(counts[one] > 0);
      }),
    );
  });
});

describe("the mapping that is found", () => {
  const networks = [resnet8, mobileNetV2].map(({ build }) =>
    build({ inputShape: [28, 28, 1], classes: 10, width: 8 }),
  );

  test("is never worse than the fixed one, whatever the layers", () => {
    const channels = fc.integer({ min: 1, max: 40 });
    const any = fc.record({
      ...{ inputs: channels, outputs: channels, side: fc.integer({ min: 1, max: 12 }) },
      ...{ window: fc.constantFrom(1, 9, 25), operator: fc.constantFrom(...OPERATORS) },
      bits: fc.constantFrom(2, 4, 8),
    });
    const bytes = fc.integer({ min: 64, max: 20_000 });
    fc.assert(
      fc.property(fc.array(any, { minLength: 1, maxLength: 4 }), bytes, (shapes, bufferBytes) => {
        const work = shapes.map(({ inputs, outputs, side, window, operator, bits }) =>
          layer({
            ...{ operator, window, taps: inputs * window, outputChannels: outputs },
            ...{ outputPixels: side * side, inputValues: inputs * side * side, weightBits: bits },
          }),
        );
        const cost = costOnChunks(work, { bufferBytes, registerBytes: 512 });
        expect(edp(cost)).toBeLessThanOrEqual(edp(cost.mapping.fixed));
        expect(cost.cycles).toBeLessThanOrEqual(cost.mapping.cyclesOfOneImage);
        expect(cost.mapping.picojoulesWithoutSums).toBeLessThan(cost.picojoules);
      }),
      { numRuns: 30 },
    );
  });

  test("is a third better at least on networks that are mixed", () => {
    for (const network of networks) {
      const cost = costOnChunks(mixed(network));
      expect(edp(cost)).toBeLessThan((2 / 3) * edp(cost.mapping.fixed));
    }
  });

  test.each(["bufferBytes", "registerBytes"] as const)("is never worse with more: %s", (which) => {
    for (const network of networks) {
      const products = [1, 2, 4, 8, 16].map((times) =>
        edp(
          costOnChunks(mixed(network), {
            ...{ bufferBytes: 32 * 1024, registerBytes: 256 },
            [which]: (which === "bufferBytes" ? 16 * 1024 : 64) * times,
          }),
        ),
      );
      expect(products).toEqual(products.toSorted((a, b) => b - a));
    }
  });

  test("takes less time in the same area where layers do not multiply and memory is fast enough", () => {
    const [network] = networks;
    if (network === undefined) throw new Error("there is no network");
    const [multiplies, ...others] = OPERATORS.map((kind) => costOnChunks(mixed(network, [kind])));
    for (const { cycles } of others) expect(cycles).toBeLessThan((multiplies?.cycles ?? 0) / 2);
  });
});

test("has no units for floats", () => {
  expect(nasaChunks.unsupported?.(layer({ activationBits: 32 }))).toBe(
    "it has no float arithmetic",
  );
});
