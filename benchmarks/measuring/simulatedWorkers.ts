// Many workers in one process, which sleep instead of computing; queueScale.ts starts and kills it.
import { setTimeout as sleep } from "node:timers/promises";
import { canonicalHash } from "../../results/canonicalHash.js";
import { connect, RunQueue, type TakenJob } from "../machines/index.js";
import type { SimulatedWorkers } from "./queueScale.js";

process.once("message", (request: SimulatedWorkers) => {
  for (let i = 0; i < request.workers; i++) void startWorker(request);
});
process.on("disconnect", () => process.exit(0));

async function startWorker({ url, name, scale }: SimulatedWorkers): Promise<void> {
  const redis = await connect(url, () => undefined);
  const queue = new RunQueue(redis, name);
  const compute = async (job: TakenJob) => {
    const taken = `taken:${String(process.pid)}`;
    await redis.multi().hincrby("starts", job.id, 1).hset(taken, job.id, 1).exec();
    await sleep(job.data.cost * scale);
    const result = canonicalHash(job.data);
    const [seconds, micros] = await redis.time();
    if ((await redis.hsetnx("results", job.id, result)) === 1)
      await redis.zadd("finished", Number(seconds) * 1000 + Number(micros) / 1000, job.id);
    else {
      await redis.incr("duplicates");
      if ((await redis.hget("results", job.id)) !== result) await redis.incr("different");
    }
    await redis.hdel(taken, job.id);
    await queue.release(job.id);
    return { state: "done" as const };
  };
  queue.work(1, { run: compute, onNote: () => undefined });
}
