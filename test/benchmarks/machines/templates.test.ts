import { execFileSync, spawnSync } from "node:child_process";
import { chmod, mkdtemp, readFile, writeFile } from "node:fs/promises";
import os from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { quantbench } from "../../cli/quantbench.js";

const folder = resolve("benchmarks/templates/machines");
const yaml = async (name: string): Promise<unknown> =>
  parse(await readFile(join(folder, name), "utf8"), { merge: true });

const helps = new Map<string, Promise<string>>();
const helpOf = async (command: string): Promise<string> => {
  const { stdout, code } = await quantbench([command, "--help"]);
  expect(code, command).toBe(0);
  return stdout;
};

/** Every option that a command line names is one that the program has. */
async function expectOptions(line: string): Promise<void> {
  const [, command = ""] = /quantbench(?:@\S+)? (\w+)/.exec(line) ?? [];
  const help = helps.get(command) ?? helpOf(command);
  helps.set(command, help);
  const stdout = await help;
  const rest = line.slice(line.indexOf(command));
  for (const [, option = ""] of rest.matchAll(/(--[a-z-]+)/g))
    expect(stdout, `${command} ${option}`).toContain(`${option} `);
}

describe("the template for Slurm", () => {
  const script = join(folder, "slurm.sh");

  /** Runs it as Slurm does, with a program in place of npx that says how it was called. */
  async function task(environment: Record<string, string>, ...args: string[]) {
    const directory = await mkdtemp(join(os.tmpdir(), "quantbench-slurm-"));
    await writeFile(join(directory, "npx"), '#!/bin/sh\nfor word; do echo "$word"; done\n');
    await chmod(join(directory, "npx"), 0o755);
    const env = { PATH: `${directory}:${process.env["PATH"] ?? ""}`, ...environment };
    return spawnSync("bash", [script, ...args], { env, cwd: directory, encoding: "utf8" });
  }

  test("runs the part of its task, with all of its cores", async () => {
    execFileSync("bash", ["-n", script]);
    const slurm = {
      SLURM_ARRAY_TASK_ID: "3",
      SLURM_ARRAY_TASK_MIN: "1",
      SLURM_ARRAY_TASK_MAX: "8",
    };
    const { stdout } = await task(
      { ...slurm, SLURM_CPUS_PER_TASK: "4" },
      "my.yaml",
      "--engine",
      "portable",
    );
    const words = stdout.trim().split("\n");
    expect(words).toEqual([
      ...["quantbench", "run", "my.yaml", "--shard", "3/8", "--jobs", "4"],
      ...["--out", "parts/my-3-of-8", "--engine", "portable"],
    ]);
    await expectOptions(words.join(" "));
    const zero = await task({ ...slurm, SLURM_ARRAY_TASK_MIN: "0" }, "my.yaml");
    expect([zero.status, zero.stderr]).toEqual([2, "the array must begin at 1: --array=1-N\n"]);
    expect((await task(slurm)).stderr).toContain("the name of a matrix");
    expect((await task({}, "my.yaml")).stderr).toContain("submit it with --array");
  });
});

test("the template for Kubernetes has as many parts as completions", async () => {
  const container = z.object({ command: z.array(z.string()), args: z.array(z.string()) });
  const schema = z.object({
    apiVersion: z.literal("batch/v1"),
    kind: z.literal("Job"),
    spec: z.object({
      completionMode: z.literal("Indexed"),
      completions: z.number(),
      parallelism: z.number(),
      backoffLimitPerIndex: z.number(),
      template: z.object({
        spec: z.object({ restartPolicy: z.literal("Never"), containers: z.array(container) }),
      }),
    }),
  });
  const { spec } = schema.parse(await yaml("kubernetes.yaml"));
  const [line = ""] = spec.template.spec.containers[0]?.args ?? [];
  expect(line).toContain(`"$part/${String(spec.completions)}"`);
  const env = { JOB_COMPLETION_INDEX: "4", PATH: process.env["PATH"] };
  const said = spawnSync("/bin/sh", ["-ec", line.replace("exec quantbench", "echo")], { env });
  expect(said.stdout.toString()).toBe(
    "run quick --shard 5/16 --jobs 4 --out /results/parts/quick-5-of-16\n",
  );
  await expectOptions(line);
});

test("the template for Compose starts programs that there are", async () => {
  const service = z.object({ image: z.string(), command: z.string() });
  const { services } = z
    .object({ services: z.record(z.string(), service) })
    .parse(await yaml("compose.yaml"));
  expect(Object.keys(services)).toEqual(["redis", "coordinator", "worker", "status"]);
  expect(services["redis"]?.command).toMatch(/noeviction --appendonly yes/);
  for (const name of ["coordinator", "worker", "status"])
    await expectOptions(services[name]?.command ?? "");
});
