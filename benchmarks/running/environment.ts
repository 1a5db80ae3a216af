import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import os from "node:os";
import { probeSaturation, processorFeatures } from "../../pipelines/deploy/index.js";
import { engineVersions, loadEngine } from "../../pipelines/engine/index.js";
import type { Environment } from "../../results/schema.js";

const packageFile = createRequire(import.meta.url).resolve("#package/package.json");

const { version, dependencies } = JSON.parse(readFileSync(packageFile, "utf8")) as {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
};
export const packageVersion = version;

/** Programs that networks are deployed on besides the engine's own; their versions are pinned. */
const DEPLOYMENT_RUNTIMES = ["onnxruntime-web", "@litertjs/core"] as const;

export async function describeEnvironment(): Promise<Environment> {
  const engines = engineVersions();
  for (const name of DEPLOYMENT_RUNTIMES) engines[name] = dependencies[name] ?? "unknown";
  const { lowering } = await loadEngine("auto");
  return {
    quantbench: packageVersion,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: os.cpus()[0]?.model ?? "unknown",
    cpuFeatures: processorFeatures(),
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    engines,
    ...(lowering !== undefined && { lowering }),
    saturation: await probeSaturation(),
    commit: commit(),
  };
}

function commit(): string | null {
  try {
    const git = (...args: string[]) =>
      execFileSync("git", args, { cwd: dirname(packageFile), stdio: ["ignore", "pipe", "ignore"] })
        .toString()
        .trim();
    const changed = git("status", "--porcelain") === "" ? "" : " (modified)";
    return `${git("rev-parse", "HEAD")}${changed}`;
  } catch {
    return null; // installed from the registry, or without git
  }
}
