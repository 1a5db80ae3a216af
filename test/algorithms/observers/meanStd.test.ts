import * as tf from "#tf";
import { beforeAll, expect, test } from "vitest";
import { meanStdObserver } from "../../../algorithms/observers/index.js";
import { int4, normalValues, site } from "../../support.js";
import { gridOf } from "./support.js";

beforeAll(() => tf.setBackend("cpu"));

// max(|mean - 3 sd|, |mean + 3 sd|) / 2^(bits - 1), sd divided by one less than the number of weights.
test("LSQ+'s first scales of a depthwise kernel, whose channels have nine weights", () => {
  const channels = 64;
  const values = normalValues(9 * channels, 3).map((v, i) => v * (1 + (i % channels)));
  const place = site({
    shape: [3, 3, channels, 1],
    channelAxis: 2,
    scheme: { ...int4, granularity: "perChannel" },
  });
  const x = tf.tensor(values, [3, 3, channels, 1]);
  for (const channel of [0, 1, 63]) {
    const own = Array.from({ length: 9 }, (_, i) => values[i * channels + channel] ?? NaN);
    const mean = own.reduce((a, b) => a + b) / 9;
    const deviation = Math.sqrt(own.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 8);
    const reach = Math.max(Math.abs(mean - 3 * deviation), Math.abs(mean + 3 * deviation));
    const { scale } = gridOf(meanStdObserver, [x], place, channel);
    expect(scale / (reach / 8)).toBeCloseTo(1, 5);
  }
});

test("one weight has no deviation", () => {
  const { scale } = gridOf(meanStdObserver, [tf.tensor1d([0.5])], site({ shape: [1] }));
  expect(scale).toBeCloseTo(0.5 / 8, 6);
});
