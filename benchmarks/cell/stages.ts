import { createHash } from "node:crypto";
import { join } from "node:path";
import {
  inspectSites,
  kernelsOf,
  profileOperators,
  type Inspection,
} from "../../pipelines/deploy/index.js";
import { exportOnnx } from "../../pipelines/export/index.js";
import {
  freeze,
  freezeFloat,
  groupChannels,
  roomForBiases,
  type FrozenNetwork,
} from "../../pipelines/freeze/index.js";
import {
  asDeployed,
  withFilters,
  withOperators,
  type QuantizedNetwork,
} from "../../pipelines/network/index.js";
import { chosenWidths, withBits } from "../../pipelines/quantize/index.js";
import { evaluate, type Logits } from "../../pipelines/train/index.js";
import { cellName } from "../../results/store.js";
import { writeAtomically } from "../../results/writeAtomically.js";
import type { Cell, CellParts } from "../planning/index.js";
import type { Checkpoint } from "./checkpoint.js";
import type { CellContext } from "./context.js";
import { deploy, type Deployments } from "./deployments.js";
import { measureLatency } from "./latency.js";
import { pretrain, trainQuantized } from "./trainings.js";

/** What the stages of a cell find out, each from what those before it found. */
export interface Findings {
  readonly checkpoint: Checkpoint;
  readonly trained: Checkpoint;
  readonly simulated: Logits;
  readonly frozen: FrozenNetwork;
  readonly exported: Exported;
  readonly deployed: Deployments;
  readonly inspection: Inspection;
  readonly latency: MeasuredLatency;
}
export type Finding = keyof Findings;

export interface Exported {
  /** The frozen network, its channels grouped by their bit widths. */
  readonly grouped: FrozenNetwork;
  readonly floatModel: Uint8Array;
  readonly model: Uint8Array;
}

export interface MeasuredLatency {
  readonly latency: Awaited<ReturnType<typeof measureLatency>>;
  readonly operators: Readonly<Record<"float" | "quantized", Operators>>;
}

/** One cell and all that it is made of. */
export interface Subject {
  readonly cell: Cell;
  readonly parts: CellParts;
  readonly context: CellContext;
}

/** A part of a cell's work: what it is called, what it needs, and how it finds out one thing. */
export interface Stage<F extends Finding, Needs extends Finding = Finding> {
  /** As progress and times call it. */
  readonly title: string;
  readonly needs: readonly Needs[];
  run(subject: Subject, findings: Pick<Findings, Needs>): Promise<Findings[F]>;
}

/** A stage that sees what it needs and nothing else. */
const stage = <F extends Finding, const Needs extends Finding = never>(
  definition: Stage<F, Needs>,
): Stage<F> => definition;

/** The network with the bit widths and the output channels that its training chose. */
export const quantizedBy = (
  { quantized: { network, sites } }: CellParts,
  { bits, filters = {}, operators = {} }: Checkpoint,
): QuantizedNetwork => {
  const changed = withOperators(withFilters({ network, sites }, filters), operators);
  return { ...changed, sites: withBits(changed.sites, bits) };
};

type Operators = Awaited<ReturnType<typeof profileOperators>>;

/** The float network that was profiled last: the same for all cells of a model and seed. */
let lastFloat: { readonly key: string; readonly operators: Operators } | undefined;

async function profileFloat(
  model: Uint8Array,
  options: Parameters<typeof profileOperators>[1],
): Promise<Operators> {
  const key = createHash("sha256").update(model).update(JSON.stringify(options)).digest("hex");
  if (lastFloat?.key !== key)
    lastFloat = { key, operators: await profileOperators(model, options) };
  return lastFloat.operators;
}

const imageShape = ({ dataset }: CellContext): number[] => {
  const [height = 1, width = 1, channels = 1] = dataset.shape;
  return [channels, height, width];
};

/**
 * The stages of a cell, by what they find out. Float and quantized training keep their results in
 * the run directory, "exported" leaves the model there; all else is computed when it is asked for.
 */
export const STAGES: { readonly [F in Finding]: Stage<F> } = {
  checkpoint: stage({
    title: "float training",
    needs: [],
    run: ({ cell, context }) => pretrain(cell, context),
  }),
  trained: stage({
    title: "quantized training",
    needs: ["checkpoint"],
    run: ({ cell, parts, context }, { checkpoint }) =>
      trainQuantized(cell, { parts, checkpoint }, context),
  }),
  simulated: stage({
    title: "evaluation",
    needs: ["trained"],
    run({ parts, context: { engine, dataset, onProgress } }, { trained }) {
      const quantized = quantizedBy(parts, trained);
      return evaluate(engine, quantized.network, {
        tensors: trained.tensors,
        dataset,
        mode: (current) => asDeployed(parts.algorithm, quantized, current),
        onImages: (progress) => {
          onProgress("evaluation", progress);
        },
      });
    },
  }),
  frozen: stage({
    title: "integers",
    needs: ["trained"],
    run: async ({ parts, context }, { trained }) =>
      roomForBiases(
        await freeze(context.engine, quantizedBy(parts, trained), {
          algorithm: parts.algorithm,
          tensors: trained.tensors,
        }),
      ),
  }),
  exported: stage({
    title: "export",
    needs: ["checkpoint", "trained", "frozen"],
    async run({ cell, parts, context }, { checkpoint, trained, frozen }) {
      const { sites } = quantizedBy(parts, trained);
      const grouped = groupChannels(frozen, chosenWidths(parts.algorithm, sites, trained.tensors));
      const model = exportOnnx(grouped, cellName(cell));
      await writeAtomically(join(context.directory.models, `${cellName(cell)}.onnx`), model);
      const float = freezeFloat(parts.floatNetwork, checkpoint.tensors);
      return { grouped, model, floatModel: exportOnnx(float, "float") };
    },
  }),
  deployed: stage({
    title: "deployment",
    needs: ["simulated", "frozen", "exported"],
    run: ({ cell, parts, context }, { simulated, frozen, exported }) =>
      deploy(
        { exported: exported.grouped, plain: frozen },
        {
          ...{ name: cellName(cell), backend: parts.backend, dataset: context.dataset, simulated },
          onRuntime: (title, progress) => {
            context.onProgress(`deployment on ${title}`, progress);
          },
        },
      ),
  }),
  inspection: stage({
    title: "inspection",
    needs: ["trained", "frozen"],
    run: ({ parts, context: { engine, dataset, onProgress } }, { trained: { tensors }, frozen }) =>
      inspectSites(engine, frozen, {
        ...{ algorithm: parts.algorithm, tensors, dataset },
        kernels: kernelsOf(parts.backend, frozen),
        arithmetic: parts.backend.arithmetic,
        onImages: (progress) => {
          onProgress("inspection", progress);
        },
      }),
  }),
  latency: stage({
    title: "latency",
    needs: ["exported"],
    async run({ parts, context }, { exported: { grouped, floatModel, model } }) {
      const kernels = kernelsOf(parts.backend, grouped);
      const options = { shape: imageShape(context), kernels };
      return {
        latency: await measureLatency({ float: floatModel, quantized: model }, options),
        operators: {
          float: await profileFloat(floatModel, options),
          quantized: await profileOperators(model, options),
        },
      };
    },
  }),
};
