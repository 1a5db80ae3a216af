import { existsSync } from "node:fs";
import { RunDirectory } from "../../results/store.js";
import { writeAtomically } from "../../results/writeAtomically.js";
import { openStore } from "./openStore.js";
import { pathIn } from "./results.js";

const FILES = ["run.json", "environment.json", "matrix.yaml"];
const FOLDERS = ["cells", "models", "disputes"];

/**
 * Copies what a store has of a run into a directory, checkpoints left out; what is there already stays.
 *
 * @returns how many files came
 * @throws Error when the store holds no run
 */
export async function pull(
  location: string,
  out: string,
  onNote: (text: string) => void,
): Promise<number> {
  const store = openStore(location);
  await new RunDirectory(out).create();
  const lists = await Promise.all(FOLDERS.map((folder) => store.list(folder)));
  const keys = FOLDERS.flatMap((folder, i) => (lists[i] ?? []).map((name) => `${folder}/${name}`));
  let copied = 0;
  for (const key of [...FILES, ...keys]) {
    const path = pathIn(out, key);
    if (!FILES.includes(key) && existsSync(path)) continue;
    const found = await store.get(key);
    if (found === undefined && key === "run.json") throw new Error(`${location} holds no run`);
    if (found !== undefined && "broken" in found)
      onNote(`${location}: ${key} ${found.broken}; it is left out`);
    if (found === undefined || "broken" in found) continue;
    await writeAtomically(path, found.bytes);
    copied += 1;
  }
  return copied;
}
