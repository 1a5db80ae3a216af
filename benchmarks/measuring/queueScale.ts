// What a queue of many cells and workers costs: npm run bench:queue [-- CELLS WORKERS]
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import os from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { randomStream } from "../../pipelines/engine/index.js";
import { canonicalHash } from "../../results/canonicalHash.js";
import { RunDirectory } from "../../results/store.js";
import {
  bytesOf,
  connect,
  openStore,
  publishResult,
  type QueuedJob,
  readResult,
  RunQueue,
} from "../machines/index.js";

const NAME = "simulated";
/** How long all workers together are at work, if none is lost. */
const WORK_SECONDS = 60;
/** Cells that share a float training. */
const CELLS_PER_TRAINING = 200;
const PROCESSES = 4;
/** What a coordinator may cost, and how soon a lost job must run again. */
const LIMITS = { millisecondsPerCell: 5, restartSeconds: 60 };

/** What a process of simulated workers is told. */
export interface SimulatedWorkers {
  readonly url: string;
  readonly name: string;
  readonly workers: number;
  /** Milliseconds of work by unit of cost. */
  readonly scale: number;
}

/** Cells with made-up configurations; costs spread over a factor of ten. */
function syntheticJobs(cells: number): QueuedJob[] {
  const random = randomStream(1, "simulated cells");
  const jobs = Array.from({ length: cells }, (_, i): QueuedJob => {
    const config = configOf(i);
    const cellId = canonicalHash(config);
    const data = { kind: "cell" as const, code: "simulated", cellId, config };
    const cost = 0.18 + 1.64 * random.uniform();
    const training = `pretrain-${canonicalHash(["float", Math.floor(i / CELLS_PER_TRAINING)])}`;
    return { id: `cell-${cellId}`, data: { ...data, cost }, priority: 0, after: training };
  });
  const trainings = jobs
    .filter((_, i) => i % CELLS_PER_TRAINING === 0)
    .map(({ data, after = "" }): QueuedJob => {
      return { id: after, data: { ...data, kind: "pretrain", cost: 1 }, priority: 1 };
    });
  const longestFirst = jobs
    .toSorted((a, b) => b.data.cost - a.data.cost)
    .map((job, i) => ({ ...job, priority: 2 + i }));
  return [...trainings, ...longestFirst];
}

const configOf = (index: number): QueuedJob["data"]["config"] => ({
  model: { name: "resnet8", version: 1, width: 8 },
  dataset: { name: "synthetic", checksum: "0".repeat(64) },
  algorithm: { name: "lsq", version: 1, computes: "0".repeat(64) },
  backend: { name: "academic", version: 1 },
  bits: { weights: 4, activations: 4 },
  seed: index,
  hyperparameters: {
    batchSize: 64,
    momentum: 0.9,
    weightDecay: 0.0001,
    augmentation: { shift: 2, flip: true },
    pretrain: { epochs: 10, learningRate: 0.1 },
    calibrationBatches: 4,
    quantizedTraining: { epochs: 1, learningRate: 0.01 },
  },
  engine: { name: "onnxruntime", version: "1.30.0", lowering: "blocked" },
  numerics: 4,
});

async function startRedis(directory: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = String((server.address() as AddressInfo).port);
  server.close();
  const redis = spawn(
    "redis-server",
    ["--bind", "127.0.0.1", "--port", port, "--dir", directory, "--appendonly", "yes"],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let said = "";
  redis.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  while (!said.includes("Ready to accept")) {
    if (redis.exitCode !== null) throw new Error(`redis-server did not start: ${said}`);
    await sleep(20);
  }
  const stop = async () => {
    redis.kill("SIGKILL");
    await once(redis, "exit");
  };
  return { url: `redis://127.0.0.1:${port}`, stop };
}

async function simulate(cells: number, workers: number): Promise<Record<string, number>> {
  const directory = await mkdtemp(join(os.tmpdir(), "quantbench-queue-"));
  const server = await startRedis(directory);
  const redis = await connect(server.url, () => undefined);
  const queue = new RunQueue(redis, NAME);
  const children: ChildProcess[] = [];
  try {
    const info = async (section: string, field: string) =>
      Number(new RegExp(`^${field}:(\\d+)`, "m").exec(await redis.info(section))?.[1]);
    const jobs = syntheticJobs(cells);
    const [memory, commands] = [
      await info("memory", "used_memory"),
      await info("stats", "total_commands_processed"),
    ];
    const planned = process.cpuUsage();
    await queue.hold(jobs.filter(({ after }) => after !== undefined));
    await queue.enqueue(jobs.filter(({ after }) => after === undefined));
    const enqueueMs = processorMs(planned);
    const looked = process.cpuUsage();
    await queue.unknownIds(jobs.map(({ id }) => id));
    await queue.endedIds();
    const lookMs = processorMs(looked);
    const held = (await info("memory", "used_memory")) - memory;
    const work = jobs.reduce((sum, { data }) => sum + data.cost, 0);
    const scale = (1000 * WORK_SECONDS * workers) / work;
    const request: SimulatedWorkers = {
      ...{ url: server.url, name: NAME, scale },
      workers: Math.ceil(workers / PROCESSES),
    };
    const started = performance.now();
    for (let i = 0; i < PROCESSES; i++) children.push(startWorkers(request));
    while ((await redis.hlen("results")) < jobs.length / 3) await sleep(100);
    const lost = await killOne(children, redis);
    const restartSeconds = await restartOf(lost, redis);
    children.push(startWorkers(request));
    while ((await redis.hlen("results")) < jobs.length) await sleep(100);
    const seconds = (performance.now() - started) / 1000;
    const finished = await redis.zrange("finished", 0, -1, "WITHSCORES");
    const ends = finished.filter((_, i) => i % 2 === 1).map(Number);
    const tail = (ends.at(-1) ?? 0) - (ends[Math.max(0, ends.length - workers)] ?? 0);
    const sent = (await info("stats", "total_commands_processed")) - commands;
    const collectMs = await collecting(join(directory, "store"));
    return {
      ...{ cells, workers, seconds, lostJobs: lost.length, restartSeconds },
      // It looks after all jobs every half minute, at most as long as nothing is done.
      coordinatorMillisecondsPerCell: (enqueueMs + (seconds / 30) * lookMs) / cells + collectMs,
      enqueueMillisecondsPerCell: enqueueMs / cells,
      collectMillisecondsPerCell: collectMs,
      bytesPerWaitingCell: held / cells,
      bytesPerCellAtTheEnd: ((await info("memory", "used_memory")) - memory) / cells,
      commandsPerCell: sent / cells,
      secondsOfTheLastCells: tail / 1000,
      duplicates: Number((await redis.get("duplicates")) ?? 0),
      different: Number((await redis.get("different")) ?? 0),
      missing: jobs.length - (await redis.hlen("results")),
    };
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await queue.close();
    redis.disconnect();
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Milliseconds that this process has used since then: a machine's other work does not count. */
function processorMs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
}

/** Milliseconds of a processor that a coordinator needs to find, read and check a result in a store. */
async function collecting(location: string): Promise<number> {
  const store = openStore(location);
  const results = await new RunDirectory("results/reference").readCells();
  const note = () => undefined;
  for (const result of results.values())
    await publishResult(store, { result, bytes: bytesOf(result), origin: "simulated" }, note);
  const start = process.cpuUsage();
  for (const name of await store.list("cells")) {
    const found = await readResult(store, `cells/${name}`, note);
    if (found === undefined) throw new Error(`${name} was stored, and cannot be read`);
  }
  return processorMs(start) / results.size;
}

function startWorkers(request: SimulatedWorkers): ChildProcess {
  const child = fork(fileURLToPath(new URL("./simulatedWorkers.js", import.meta.url)));
  child.send(request);
  return child;
}

type Redis = Awaited<ReturnType<typeof connect>>;

/** Kills a quarter of all workers; returns the jobs that they had. */
async function killOne(children: readonly ChildProcess[], redis: Redis): Promise<string[]> {
  const [doomed] = children;
  if (doomed?.pid === undefined) throw new Error("no worker started");
  doomed.kill("SIGKILL");
  await once(doomed, "exit");
  const taken = await redis.hgetall(`taken:${String(doomed.pid)}`);
  const results = await redis.hmget("results", ...Object.keys(taken), "");
  return Object.keys(taken).filter((_, i) => results[i] === null);
}

/** Seconds until each of some jobs has been taken by another worker. */
async function restartOf(jobs: readonly string[], redis: Redis): Promise<number> {
  const start = performance.now();
  const waiting = new Set(jobs);
  while (waiting.size > 0) {
    for (const job of waiting) if (Number(await redis.hget("starts", job)) > 1) waiting.delete(job);
    await sleep(100);
  }
  return (performance.now() - start) / 1000;
}

const [cells = 20_000, workers = 1000] = process.argv.slice(2).map(Number);
const found = await simulate(cells, workers);
for (const [name, value] of Object.entries(found))
  process.stdout.write(`${name}: ${String(Math.round(1000 * value) / 1000)}\n`);
const { coordinatorMillisecondsPerCell = NaN, restartSeconds = NaN, lostJobs = 0 } = found;
const { missing, different } = found;
const ok =
  coordinatorMillisecondsPerCell <= LIMITS.millisecondsPerCell &&
  lostJobs > 0 &&
  restartSeconds <= LIMITS.restartSeconds &&
  missing === 0 &&
  different === 0;
process.stdout.write(ok ? "within its limits\n" : `NOT within ${JSON.stringify(LIMITS)}\n`);
process.exitCode = ok ? 0 : 1;
