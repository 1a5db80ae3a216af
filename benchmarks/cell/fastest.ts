import {
  type FastestForm,
  fastestForm,
  findRuntime,
  FIRST_RUNTIME,
  type Form,
  probeSaturation,
  runOn,
  timeByTurns,
} from "../../pipelines/deploy/index.js";
import {
  asDeployed,
  idleQuantizers,
  leftInFloat,
  unquantized,
} from "../../pipelines/network/index.js";
import { accuracyOf, agreementOf, evaluate, type Logits } from "../../pipelines/train/index.js";
import type { Cell } from "../planning/index.js";
import { convergedCell } from "./cell.js";
import type { CellContext } from "./context.js";
import { quantizedBy } from "./stages.js";

export interface FastestCell extends FastestForm {
  /** On all test images, on the runtime. */
  readonly accuracy: number;
}

/**
 * A cell's network in the form that onnxruntime runs fastest here. A form is believed once the runtime has predicted the whole
 * test set with it as the engine does that simulates the same network.
 */
export async function fastestCell(cell: Cell, context: CellContext): Promise<FastestCell> {
  const { dataset, onProgress } = context;
  const { subject, staged } = await convergedCell(cell, context);
  const frozen = await staged.find("frozen");
  const { floatModel } = await staged.find("exported");
  const [height = 1, width = 1, channels = 1] = dataset.shape;
  const accuracies = new Map<string, number>();

  const simulated = async ({ inFloat }: Form): Promise<Logits> => {
    const { engine } = context;
    if (inFloat === "all") {
      const { tensors } = await staged.find("checkpoint");
      return evaluate(engine, subject.parts.floatNetwork, {
        tensors,
        dataset,
        mode: () => ({ quantize: unquantized }),
      });
    }
    const { algorithm } = subject.parts;
    const trained = await staged.find("trained");
    const quantized = quantizedBy(subject.parts, trained);
    const part = leftInFloat(quantized, idleQuantizers(quantized, inFloat));
    return evaluate(engine, part.network, {
      ...{ tensors: trained.tensors, dataset },
      mode: (current) => asDeployed(algorithm, part, current),
    });
  };

  const { saturates } = await probeSaturation();
  const found = await fastestForm(frozen, floatModel, {
    saturates,
    time(models) {
      onProgress("timing forms");
      return timeByTurns(models, [channels, height, width]);
    },
    async agreement(form) {
      onProgress(`comparing "${form.name}" with its simulation`);
      const { logits } = await runOn(
        findRuntime(FIRST_RUNTIME),
        { bytes: form.model },
        { dataset },
      );
      accuracies.set(form.name, accuracyOf(logits, dataset));
      return agreementOf(await simulated(form), logits, dataset.classes).share;
    },
  });
  return { ...found, accuracy: accuracies.get(found.name) ?? NaN };
}
