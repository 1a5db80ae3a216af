import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bitFusion } from "../../backends/hardware/bitFusion.js";
import { bitSerialCloud } from "../../backends/hardware/bitSerial.js";
import { cpuSimd } from "../../backends/hardware/cpuSimd.js";
import { eyeriss } from "../../backends/hardware/eyeriss.js";
import type { LayerWork } from "../../backends/hardware/hardware.js";
import { hardwareModels } from "../../backends/hardware/index.js";
import { mpic } from "../../backends/hardware/mpic.js";
import { smartExchangeArray } from "../../backends/hardware/smartExchangeArray.js";
import { mobileNetV2Large, resnet8 } from "../../benchmarks/models/index.js";
import { layerWork } from "../../pipelines/network/index.js";

const pointwise: LayerWork = {
  layer: "pointwise",
  kind: "convolution",
  taps: 320,
  window: 1,
  outputChannels: 1280,
  groups: 1,
  outputPixels: 49,
  inputValues: 49 * 320,
  weightBits: 8,
  activationBits: 8,
};
const depthwise: LayerWork = {
  ...pointwise,
  kind: "depthwise",
  taps: 9,
  window: 9,
  outputChannels: 32,
  groups: 32,
  outputPixels: 112 * 112,
  inputValues: 112 * 112 * 32,
};
const dense: LayerWork = {
  ...pointwise,
  kind: "dense",
  taps: 1280,
  outputChannels: 1000,
  outputPixels: 1,
  inputValues: 1280,
};
const withBits = (work: LayerWork, weightBits: number, activationBits: number): LayerWork => ({
  ...work,
  weightBits,
  activationBits,
});

describe("the bit-serial model meets HAQ's published table of cycles (batch 16)", () => {
  const batchCycles = (work: LayerWork) => 16 * (bitSerialCloud.cost(work).cycles ?? NaN);

  test.each([
    ["depthwise 112x112x32", withBits(depthwise, 1, 1), 401_408],
    ["depthwise 112x112x32, 8-bit activations", withBits(depthwise, 1, 8), 8 * 401_408],
    ["dense 1280 to 1000", withBits(dense, 8, 1), 8 * 5000],
    ["dense 1280 to 1000, 8-bit activations", withBits(dense, 8, 8), 8 * 5000],
    ["pointwise 320 to 1280 at 1 bit", withBits(pointwise, 1, 1), 41_056],
    ["pointwise 320 to 1280 at 8 bits", withBits(pointwise, 8, 8), 667_872],
  ])("%s", (_, work, published) => {
    expect(Math.abs(batchCycles(work) / published - 1)).toBeLessThan(0.03);
  });

  test("pointwise 320 to 1280 with weights of 1 bit and inputs of 8, where it is 12 % low", () => {
    const ratio = batchCycles(withBits(pointwise, 1, 8)) / 93_440;
    expect(ratio).toBeGreaterThan(0.87);
    expect(ratio).toBeLessThan(0.89);
  });

  const network = mobileNetV2Large.build({ inputShape: [224, 224, 3], classes: 1000, width: 32 });
  test.each([3.434, 7.063, 11.104, 15.716, 20.917, 26.653, 32.887, 39.625])(
    "MobileNetV2 as a whole: %f million at as many bits as its place in the list",
    (millions) => {
      const bits = [3.434, 7.063, 11.104, 15.716, 20.917, 26.653, 32.887, 39.625].indexOf(millions);
      const cycles = layerWork(network, [])
        .map((work) => batchCycles(withBits(work, bits + 1, bits + 1)))
        .reduce((a, b) => a + b, 0);
      expect(Math.abs(cycles / 1e6 / millions - 1)).toBeLessThan(0.025);
    },
  );
});

// As published for ResNet-8 of width 16 on 32x32x3, in millions of cycles and microjoules.
test.each([
  [8, 8, 5.95, 128.2],
  [8, 4, 5.43, 117.0],
  [8, 2, 5.0, 107.7],
  [4, 4, 3.57, 76.9],
  [2, 2, 1.92, 41.4],
])("MPIC: a%iw%i takes so many cycles and so much energy", (activations, weights, ...published) => {
  const network = resnet8.build({ inputShape: [32, 32, 3], classes: 10, width: 16 });
  const costs = layerWork(network, []).map((work) =>
    mpic.cost(withBits(work, weights, activations)),
  );
  const found = (["cycles", "picojoules"] as const).map(
    (of) => costs.map((cost) => cost[of] ?? NaN).reduce((a, b) => a + b, 0) / 1e6,
  );
  found.forEach((value, i) => {
    expect(value / (published[i] ?? NaN)).toBeCloseTo(1, 2);
  });
});

test("BitFusion: products fuse by the widths, and memory limits what has few of them", () => {
  // 49 pixels x 40 columns of 32 channels x 20 rounds of 16 products: by the simulator's rule.
  expect(bitFusion.cost(pointwise).cycles).toBe(49 * 40 * 20);
  // A quarter of that at 4 bits, were it not for 192 bits a cycle of weights and activations.
  const bits = (320 * 1280 + 49 * (320 + 1280)) * 4;
  expect(bitFusion.cost(withBits(pointwise, 4, 4)).cycles).toBe(Math.ceil(bits / 192));
  // Dense: 1.28 million weights of 8 bits and 2,280 activations, 192 bits a cycle.
  expect(bitFusion.cost(dense).cycles).toBe(Math.ceil(((1_280_000 + 2280) * 8) / 192));
  // Energy of one product: 0.56 pJ at 8 x 8 bits, a quarter of it at 4 x 4; 15 pJ per bit moved.
  const moved = 320 * 1280 * 8 + (49 * 320 + 49 * 1280) * 8;
  expect(bitFusion.cost(pointwise).picojoules).toBeCloseTo(0.56 * 49 * 320 * 1280 + 15 * moved, 0);
});

test("Eyeriss: weights from DRAM, everything once through the buffer", () => {
  const weights = 320 * 1280;
  const activations = 49 * (320 + 1280);
  const macs = 49 * weights;
  expect(eyeriss.cost(pointwise).picojoules).toBeCloseTo(
    macs * 0.3 + weights * 103 + activations * 3,
    0,
  );
  expect(eyeriss.cost(withBits(pointwise, 32, 32)).picojoules).toBeCloseTo(
    macs * 4.6 + 4 * (weights * 103 + activations * 3),
    0,
  );
});

test("SmartExchange's accelerator: what is stored comes from DRAM, and rows of zeros save products", () => {
  const weights = 320 * 1280;
  const activations = 49 * (320 + 1280);
  const macs = 49 * weights;
  const dense = weights * 101.36 + activations * 2.45 + macs * 0.143;
  expect(smartExchangeArray.cost(pointwise).picojoules).toBeCloseTo(dense, 0);
  const stored = { format: "SmartExchange", bytes: 100_000, skipped: 0.25, shiftAdds: 1e6 };
  expect(smartExchangeArray.cost({ ...pointwise, stored }).picojoules).toBeCloseTo(
    100_000 * 101.36 + activations * 2.45 + 0.75 * macs * 0.143 + 1e6 * 0.019,
    0,
  );
  // A byte from DRAM is worth about 700 products.
  expect(Math.round(100 / 0.143)).toBe(699);
});

test("a CPU gains four times from 8 bits and nothing below", () => {
  const cycles = (bits: number) => cpuSimd.cost(withBits(pointwise, bits, bits)).cycles ?? NaN;
  expect(cycles(32)).toBe((49 * 320 * 1280) / 4);
  expect(cycles(32) / cycles(8)).toBe(4);
  expect(cycles(4)).toBe(cycles(8));
});

test("integer hardware says which widths it lacks", () => {
  expect(mpic.unsupported?.(withBits(pointwise, 32, 32))).toBe("it has no float arithmetic");
  expect(bitFusion.unsupported?.(withBits(pointwise, 8, 16))).toBe("it has no 16-bit operands");
  expect(bitFusion.unsupported?.(pointwise)).toBeUndefined();
});

test("shifts and differences cost what their units take, or there are none", () => {
  const [shift, adder] = (["shift", "adder"] as const).map((operator) => ({
    ...pointwise,
    operator,
  }));
  if (shift === undefined || adder === undefined) throw new Error("no layers");
  for (const model of [mpic, bitFusion, bitSerialCloud, smartExchangeArray]) {
    expect(model.unsupported?.(shift)).toBe("it multiplies, and has no units that shift");
    expect(model.unsupported?.(adder)).toBe("it multiplies, and has no units for differences");
    expect(model.unsupported?.(pointwise)).toBeUndefined();
  }
  // Of each operation 0.2 pJ become 0.024 or 0.03; adding up and memory stay as they are.
  const operations = 49 * 320 * 1280;
  const picojoules = (work: LayerWork) => eyeriss.cost(work).picojoules ?? NaN;
  expect(picojoules(pointwise) - picojoules(shift)).toBeCloseTo(operations * 0.176, 0);
  expect(picojoules(pointwise) - picojoules(adder)).toBeCloseTo(operations * 0.17, 0);
  // Shifted by half as many bits: half of 0.024. In float a difference takes 0.9 pJ, its sum as much.
  const narrow = picojoules(withBits(shift, 4, 4));
  expect(narrow).toBeCloseTo(operations * 0.112 + (409_600 * 103 + 49 * 1600 * 3) / 2, 0);
  const floats = 4 * (409_600 * 103 + 49 * 1600 * 3);
  expect(picojoules(withBits(adder, 32, 32))).toBeCloseTo(operations * 1.8 + floats, 0);
  // A vector is shifted and then added up; SABA does both with differences of integers.
  const cycles = (work: LayerWork) => cpuSimd.cost(work).cycles;
  const [times, once] = [cycles(shift), cycles(adder)].map(
    (of) => (of ?? NaN) / (cycles(pointwise) ?? NaN),
  );
  expect([times, once]).toEqual([2, 1]);
  for (const model of [cpuSimd, eyeriss])
    expect(model.unsupported?.(withBits(shift, 8, 32))).toBe("floats are not shifted");
});

test("no model becomes cheaper with more bits", () => {
  const bits = fc.integer({ min: 2, max: 7 });
  const layer = fc.constantFrom(pointwise, depthwise, dense);
  fc.assert(
    fc.property(fc.constantFrom(...hardwareModels), layer, bits, bits, (model, work, w, a) => {
      for (const more of [withBits(work, w + 1, a), withBits(work, w, a + 1)]) {
        const [narrow, wide] = [model.cost(withBits(work, w, a)), model.cost(more)];
        expect(wide.cycles ?? 0).toBeGreaterThanOrEqual(narrow.cycles ?? 0);
        expect(wide.picojoules ?? 0).toBeGreaterThanOrEqual(narrow.picojoules ?? 0);
      }
    }),
  );
});
