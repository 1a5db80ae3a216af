import { mkdtemp } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { createRequire } from "node:module";
import { freePort } from "./redisServer.js";

// The package has no types.
const S3rver = createRequire(import.meta.url)("@20minutes/s3rver") as new (options: object) => {
  run(): Promise<unknown>;
  close(): Promise<unknown>;
};

/** Credentials that the server accepts, and no other. */
export const CREDENTIALS = { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER" };

/** A real server that speaks S3, with a bucket. */
export async function startS3(bucket: string) {
  const port = await freePort();
  const server = new S3rver({
    ...{ port, address: "127.0.0.1", silent: true },
    directory: await mkdtemp(join(os.tmpdir(), "quantbench-s3-")),
    configureBuckets: [{ name: bucket, configs: [] }],
  });
  await server.run();
  return {
    environment: { ...CREDENTIALS, AWS_ENDPOINT_URL: `http://127.0.0.1:${String(port)}` },
    close: () => server.close(),
  };
}
