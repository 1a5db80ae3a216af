import { execFileSync } from "node:child_process";
import { mkdtemp, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

test("onnxruntime keeps no identifier of the machine, and tells nobody what it does", async () => {
  const home = await mkdtemp(join(tmpdir(), "quantbench-home-"));
  const use = `
    const { InferenceSession } = await import("./dist/pipelines/onnxruntime.js");
    await InferenceSession.create(new Uint8Array([8, 8])).catch(() => undefined);`;
  const env: NodeJS.ProcessEnv = { ...process.env, HOME: home, XDG_CACHE_HOME: home };
  delete env["ORT_DISABLE_TELEMETRY"];
  execFileSync(process.execPath, ["--input-type=module", "--eval", use], { env });
  expect(await readdir(home, { recursive: true })).toEqual([]);
});
