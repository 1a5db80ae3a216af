import { readdir, readFile } from "node:fs/promises";
import { basename } from "node:path";
import { describe, expect, test } from "vitest";
import { algorithms } from "../../algorithms/index.js";
import { backends } from "../../backends/index.js";
import { models, structures } from "../../benchmarks/models/index.js";

/** Files of a folder that export an entry of its list, by what their last export satisfies. */
async function entries(folder: string, contract: string): Promise<string[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".ts"));
  const found = await Promise.all(
    files.map(async (file) => {
      const text = await readFile(`${folder}/${file}`, "utf8");
      return text.includes(`satisfies ${contract};`) ? [basename(file, ".ts")] : [];
    }),
  );
  return found.flat();
}

describe("every file that defines an entry is in its list, under its own name:", () => {
  test.each([
    ["algorithms", "Algorithm", algorithms],
    ["backends", "BackendProfile", backends],
    ["benchmarks/models", "Model", models.filter((model) => !structures.includes(model))],
  ] as const)("%s", async (folder, contract, list) => {
    expect(list.map(({ name }) => name).sort()).toEqual((await entries(folder, contract)).sort());
  });
});

test("phases share out the whole training budget", () => {
  for (const { name, phases } of algorithms) {
    if (typeof phases === "function") continue; // they depend on the network
    const total = phases.reduce((sum, { share }) => sum + share, 0);
    expect([0, 1], name).toContain(total);
  }
});
