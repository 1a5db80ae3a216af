import { describe, expect, test } from "vitest";
import { algorithms } from "../../../algorithms/index.js";
import { logarithmic } from "../../../algorithms/logarithmic.js";
import { lsq } from "../../../algorithms/lsq.js";
import { minMax } from "../../../algorithms/minMax.js";
import { academic } from "../../../backends/academic.js";
import { backends } from "../../../backends/index.js";
import { nnie } from "../../../backends/nnie.js";
import { onnxQnn } from "../../../backends/onnxQnn.js";
import { pplW8A16 } from "../../../backends/pplW8A16.js";
import { onnxruntime } from "../../../backends/onnxruntime.js";
import { float32, type StepTensors } from "../../../pipelines/engine/index.js";
import { agreementOf, evaluate } from "../../../pipelines/train/index.js";
import { exportOnnx } from "../../../pipelines/export/index.js";
import { freeze, freezeFloat, type FrozenNetwork } from "../../../pipelines/freeze/index.js";
import { asDeployed, unquantized } from "../../../pipelines/network/index.js";
import { preciseKernels } from "../../../pipelines/deploy/index.js";
import { deployedLogits } from "../../support.js";
import {
  dataset,
  floatNetwork,
  onnx,
  checkpoint,
  mobile,
  mobileCheckpoint,
  quantize,
  unsupported,
} from "../toyTraining.js";

/** Logits of a network on onnxruntime, with the kernels that compute the same on every processor. */
const computedAnywhere = (frozen: FrozenNetwork) =>
  deployedLogits(exportOnnx(frozen, "cell"), dataset, preciseKernels(frozen));

describe("deployment", () => {
  test("the float export computes what the float network does", async () => {
    const model = exportOnnx(freezeFloat(floatNetwork, checkpoint.tensors), "float");
    const simulated = await evaluate(onnx, floatNetwork, {
      tensors: checkpoint.tensors,
      dataset,
      mode: () => ({ quantize: unquantized }),
    });
    const { share, largestDifference } = agreementOf(
      simulated,
      await deployedLogits(model, dataset, "shipped"),
      4,
    );
    expect(share).toBe(1);
    expect(largestDifference).toBeLessThan(1e-4);
  });

  const supported = backends.flatMap((profile) =>
    algorithms
      .filter(
        (algorithm) =>
          // All pairs take too long here; formats are shared, and every algorithm meets two.
          (profile.name === academic.name ||
            profile.name === onnxruntime.name ||
            ["lsq", "minMax", "dsq", "pactMqbench"].includes(algorithm.name)) &&
          unsupported(algorithm, profile) === undefined,
      )
      .map((algorithm) => [profile, algorithm] as const),
  );
  const everyCell = supported.map(([profile, algorithm]) => ({
    label: `ResNet-8, ${algorithm.name}, ${profile.name}, 4 bits`,
    ...{ float: floatNetwork, parameters: checkpoint.tensors, profile, algorithm, bits: 4 },
  }));
  const depthwise = [academic, onnxruntime].flatMap((profile) =>
    [4, 8].map((bits) => ({
      label: `MobileNetV2, minMax, ${profile.name}, ${String(bits)} bits`,
      ...{ float: mobile, parameters: mobileCheckpoint.tensors, profile, algorithm: minMax, bits },
    })),
  );
  const onlyAt8 = { bits: 8, float: floatNetwork, parameters: checkpoint.tensors };
  const eightBits = [
    { label: "ResNet-8, logarithmic, nnie", ...onlyAt8, profile: nnie, algorithm: logarithmic },
    { label: "ResNet-8, lsq, onnxQnn", ...onlyAt8, profile: onnxQnn, algorithm: lsq },
    { label: "ResNet-8, minMax, pplW8A16", ...onlyAt8, profile: pplW8A16, algorithm: minMax },
  ];
  const cells = [...everyCell, ...depthwise, ...eightBits];
  test.each([
    [academic, 7],
    [onnxruntime, 7],
    [onnxruntime, 6.0007],
  ] as const)(
    "on $0.name a ReLU6 clips at 6 though the integers behind it reach to $1",
    async (profile, reach) => {
      const cell = { bits: 8, float: mobile, parameters: mobileCheckpoint.tensors };
      const { quantized, result } = await quantize(minMax, profile, cell);
      const beyond = Object.keys(result.tensors)
        .filter((name) =>
          /relu6\/output:scale|depthwise\/input:scale|project\/input:scale/.test(name),
        )
        .map((name) => [name, float32([reach / 255], [])] as const);
      expect(beyond.length).toBeGreaterThan(10);
      const tensors = { ...result.tensors, ...Object.fromEntries(beyond) };
      const mode = (current: StepTensors) => asDeployed(minMax, quantized, current);
      const simulated = await evaluate(onnx, quantized.network, { tensors, dataset, mode });
      const frozen = await freeze(onnx, quantized, { algorithm: minMax, tensors });
      const deployed = await computedAnywhere(frozen);
      expect(agreementOf(simulated, deployed, 4).share).toBeGreaterThanOrEqual(62 / 64);
    },
  );

  test.each(cells)(
    "$label: the exported network predicts what the simulation does",
    async (cell) => {
      const { algorithm, profile } = cell;
      const { quantized, result } = await quantize(algorithm, profile, cell);
      const simulated = await evaluate(onnx, quantized.network, {
        tensors: result.tensors,
        dataset,
        mode: (tensors) => asDeployed(algorithm, quantized, tensors),
      });
      const frozen = await freeze(onnx, quantized, { algorithm, tensors: result.tensors });
      const deployed = await computedAnywhere(frozen);
      // One image of 64 may fall on a rounding border.
      expect(agreementOf(simulated, deployed, 4).share).toBeGreaterThanOrEqual(63 / 64);
    },
  );
});
