import { expect, test } from "vitest";
import { stpu } from "../../../backends/stpu.js";
import { execute } from "../../../benchmarks/cell/executions.js";
import { resnet8 } from "../../../benchmarks/models/index.js";
import { findRuntime } from "../../../pipelines/deploy/index.js";
import { frozenNetwork } from "../../pipelines/frozenNetwork.js";

const COUNT = 60;
const part = {
  count: COUNT,
  images: Uint8Array.from({ length: COUNT * 64 }, (_, i) => (i * 97 + 13) % 256),
  labels: new Uint8Array(COUNT),
};
const dataset = {
  ...{ name: "noise", shape: [8, 8, 1], classes: 4, mean: [0.5], deviation: [0.25] },
  ...{ mayFlip: false, train: part, test: part, checksum: "" },
};

test("a model that is byte-equal to an earlier one is not executed again; any other is", async () => {
  const writer = (seed: number, name = "network") => {
    const frozen = frozenNetwork({ profile: stpu, bits: 4, seed, model: resnet8 });
    return (batch: number) =>
      findRuntime("integers").write(frozen, { name, batch, arithmetic: stpu.arithmetic });
  };
  const [native, integers] = [findRuntime("onnxruntime"), findRuntime("integers")];
  const first = await execute(integers, writer(1), { dataset });
  expect(await execute(integers, writer(1), { dataset })).toBe(first);
  const others = [
    await execute(integers, writer(2), { dataset }),
    await execute(integers, writer(1, "other"), { dataset }),
    await execute(native, writer(1), { dataset }), // another runtime, though it is the same program
    await execute(integers, writer(1), { dataset: { ...dataset, checksum: "other" } }),
    await execute(integers, writer(1), { dataset: { ...dataset, test: { ...part, count: 10 } } }),
  ];
  for (const other of others) expect(other).not.toBe(first);
  expect(others[0]?.logits).not.toEqual(first.logits);
  expect(others[1]?.logits).toEqual(first.logits);
  expect(others[4]?.logits).toEqual(first.logits.subarray(0, 10 * 4));
});
