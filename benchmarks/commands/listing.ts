import { familyOf, unsupportedLevels, type Algorithm } from "../../algorithms/algorithm.js";
import { algorithms } from "../../algorithms/index.js";
import { hardwareModels } from "../../backends/hardware/index.js";
import { backends } from "../../backends/index.js";
import { artefactFormats } from "../../pipelines/export/index.js";
import { recordableKernels } from "../../pipelines/engine/index.js";
import type { TensorScheme } from "../../backends/scheme.js";
import { placesOf } from "../../pipelines/conformance/index.js";
import { quantizerOf } from "../../pipelines/network/index.js";
import { runtimes, runtimesOf } from "../../pipelines/deploy/index.js";
import { isCurrent, storedFloats } from "../checkpoints/index.js";
import { datasets } from "../datasets/index.js";
import { unknownName } from "../lookup.js";
import { loadMatrix, presetNames } from "../planning/index.js";
import { models } from "../models/index.js";

export const LISTS = [
  "algorithms",
  "backends",
  "hardware",
  "formats",
  "runtimes",
  "models",
  "checkpoints",
  "datasets",
  "matrices",
  "kernels",
] as const;

interface Row {
  readonly name: string;
  readonly description: string;
  /** Everything that a program may want to know. */
  readonly details: unknown;
}

/** @throws Error listing what can be listed */
export async function listRows(what: string): Promise<Row[]> {
  switch (what as (typeof LISTS)[number]) {
    case "algorithms":
      return algorithms.map((algorithm) => {
        const { name, title, version, source, deviations, knownDefects = [] } = algorithm;
        const [family, kind] = [familyOf(algorithm), kindOf(algorithm)];
        const backendsOf = supportedBackends(algorithm);
        const details = {
          ...{ name, title, version, family, kind, source },
          ...{ backends: backendsOf, deviations, knownDefects },
        };
        return { name, description: `${title}: ${family}, ${kind}. ${source.title}`, details };
      });
    case "backends":
      return backends.map((backend) => ({
        name: backend.name,
        description: `${backend.title} (${backend.hardware}): weights ${describeScheme(backend.weights)}; activations ${describeScheme(backend.activations)}`,
        details: backend,
      }));
    case "hardware":
      return hardwareModels.map(({ name, title, provenance, source }) => ({
        name,
        description: `${title}: ${provenance}. ${source.title}`,
        details: { name, title, provenance, source },
      }));
    case "formats":
      return artefactFormats.map(({ name, title, backends: readers, source }) => ({
        name,
        description: `${title}, for ${readers.join(", ")}. ${source.title}`,
        details: { name, title, backends: readers, source },
      }));
    case "runtimes":
      return runtimes.map(({ name, title }) => {
        const on = backends.filter((backend) =>
          runtimesOf(backend).some((one) => one.name === name),
        );
        const names = on.map((backend) => backend.name);
        const all = on.length === backends.length ? "every backend" : names.join(", ");
        return { name, description: `${title}: ${all}`, details: { name, title, backends: names } };
      });
    case "models":
      return models.map(({ name, title, defaultWidth, source, version }) => ({
        name,
        description: `${title}, width ${String(defaultWidth)} by default. ${source.title}`,
        details: { name, title, version, defaultWidth, source },
      }));
    case "checkpoints":
      return storedFloats().map((stored) => ({
        name: stored.name,
        description:
          `${(100 * stored.accuracy).toFixed(2)} % on ${stored.dataset.name} after ${String(stored.epochs)} epochs` +
          (isCurrent(stored) ? "" : "; earlier results began from it"),
        details: stored,
      }));
    case "datasets":
      return datasets.map(({ name, title, license, embedded, files }) => ({
        name,
        description: `${title}. ${license}. ${embedded ? "Comes with quantbench" : `Needs ${files.join(", ")}`}`,
        details: { name, title, license, embedded, files },
      }));
    case "matrices": {
      const matrices = await Promise.all((await presetNames()).map(loadMatrix));
      return matrices.map((matrix) => ({
        name: matrix.name,
        description: matrix.title,
        details: matrix,
      }));
    }
    case "kernels":
      return (await recordableKernels()).map((name) => ({
        name,
        description: "tfjs kernel that a step may use",
        details: { name },
      }));
    default:
      throw new Error(unknownName("list", what, LISTS));
  }
}

/** How an algorithm comes to its network, by what it consists of. */
function kindOf(algorithm: Algorithm): string {
  const { phases, reconstruction, search } = algorithm;
  if (reconstruction !== undefined) return "post-training reconstruction";
  if (typeof phases !== "function" && phases.length === 0) return "post-training";
  if (search !== undefined || (typeof phases !== "function" && phases.length > 1))
    return "search and training";
  return algorithm.rewrite === undefined
    ? "quantization-aware training"
    : "quantization-aware training of a rewritten network";
}

/** Bit widths of weights and of activations that an algorithm supports, by backend. */
function supportedBackends(algorithm: Algorithm): Record<string, Record<string, number[]>> {
  const supported: Record<string, Record<string, number[]>> = {};
  for (const { backend, kind, site } of placesOf(backends)) {
    const quantizer = quantizerOf(algorithm, site);
    if (unsupportedLevels(quantizer, site) ?? algorithm.unsupported?.(site)) continue;
    const kinds = (supported[backend] ??= {});
    (kinds[kind] ??= []).push(site.scheme.bitWidth);
  }
  return supported;
}

function describeScheme(scheme: TensorScheme): string {
  const { symmetric, granularity, scaleForm, signed, levels } = scheme;
  if (levels === "logarithmic") return "logarithmic";
  const sign = signed === "adaptive" ? "unsigned where possible" : signed ? "signed" : "unsigned";
  const scale = scaleForm === "powerOfTwo" ? "power-of-two scale" : "float scale";
  const channel = granularity === "perChannel" ? "per channel" : "per tensor";
  return `${symmetric ? "symmetric" : "affine"} ${sign} ${channel}, ${scale}`;
}
