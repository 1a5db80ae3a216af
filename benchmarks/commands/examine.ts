import { access } from "node:fs/promises";
import os from "node:os";
import { resolve } from "node:path";
import { inspectEngines } from "../../pipelines/engine/index.js";
import { datasets, type DatasetSource } from "../datasets/index.js";
import type { Environment } from "../../results/schema.js";
import { describeEnvironment } from "../running/index.js";

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** Whether quantbench cannot do its main job without it. */
  readonly required: boolean;
  /** It is there, but numbers suffer from it. */
  readonly caution?: boolean;
}

const MIN_NODE = [20, 19] as const;
const MIN_MEMORY_BYTES = 2 * 1024 ** 3;

/** Looks at everything that quantbench needs on this machine. */
export async function examine(dataDirectory: string): Promise<Check[]> {
  const environment = await describeEnvironment();
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const checks: Check[] = [
    {
      name: "node",
      ok: major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1]),
      detail: `${process.version}, ${environment.platform} (needs ${MIN_NODE.join(".")} or newer)`,
      required: true,
    },
    {
      name: "memory",
      ok: os.totalmem() >= MIN_MEMORY_BYTES,
      detail: `${(os.totalmem() / 1024 ** 3).toFixed(1)} GiB`,
      required: false,
    },
    {
      name: "cpu",
      ok: true,
      detail: `${environment.cpu}, ${String(environment.cores)} cores, ${environment.cpuFeatures.join(" ") || "features unknown"}`,
      required: false,
    },
  ];
  checks.push(examineKernels(environment));
  for (const report of await inspectEngines()) {
    checks.push({
      name: `engine ${report.name}`,
      ok: report.available,
      detail: report.available
        ? [report.version, ...(report.name === "onnxruntime" ? [environment.lowering] : [])].join(
            ", ",
          )
        : `not available: ${report.reason}`,
      required: report.name === "onnxruntime",
    });
  }
  for (const dataset of datasets) checks.push(await examineDataset(dataset, dataDirectory));
  return checks;
}

/** Whether what onnxruntime deploys here is what was trained. */
function examineKernels({ saturation }: Environment): Check {
  const check = { name: "8-bit kernels", required: false };
  if (saturation === undefined) throw new Error("nobody asked what the 8-bit kernels do");
  const { saturates, preciseIsRight, forced } = saturation;
  const said = forced ? " (said by QUANTBENCH_SATURATION)" : "";
  if (!preciseIsRight)
    return {
      ...check,
      ok: false,
      caution: true,
      detail: "onnxruntime's precise kernels compute wrong sums here",
    };
  if (!saturates)
    return { ...check, ok: true, detail: `onnxruntime's u8·s8 sums are exact here${said}` };
  return {
    ...check,
    ...{ ok: false, caution: true },
    detail:
      `onnxruntime's u8·s8 kernels saturate here${said}: cells of the profile onnxruntime may lose accuracy; ` +
      "7-bit weights or precise kernels, which run beside them, avoid it",
  };
}

async function examineDataset(dataset: DatasetSource, dataDirectory: string): Promise<Check> {
  const { name, embedded, files } = dataset;
  const check = { name: `dataset ${name}`, required: embedded };
  const [first = ""] = files;
  const where = resolve(dataDirectory);
  const present =
    embedded || (await exists(`${where}/${first}`)) || (await exists(`${where}/${first}.gz`));
  if (!present)
    return {
      ...check,
      ok: false,
      detail: `no ${first} in ${where} (set --data or QUANTBENCH_DATA)`,
    };
  try {
    const { train, test } = await dataset.load(dataDirectory);
    return {
      ...check,
      ok: true,
      detail: `${String(train.count)} training and ${String(test.count)} test images`,
    };
  } catch (error) {
    return { ...check, ok: false, detail: (error as Error).message };
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
