import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";

/** All that tests and the programs they start leave behind lies in one directory, which goes with them. */
export default async function setup(): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(os.tmpdir(), "quantbench-tests-"));
  process.env["TMPDIR"] = directory;
  return () => rm(directory, { recursive: true, force: true, maxRetries: 5 });
}
