// Trains the stored float networks that are missing (npm run checkpoints [NAME...]): one after another, on one
// thread. What is stopped goes on from where it was, as long as the temporary directory is there.
import { writeFile } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { keptTraining } from "../cell/index.js";
import {
  fileOf,
  LIST_FILE,
  nameOf,
  recipes,
  storedFloats,
  trainRecipe,
} from "../checkpoints/index.js";

const wanted = process.argv.slice(2);
const all = recipes.flatMap((recipe) =>
  Array.from({ length: recipe.seeds }, (_, seed) => ({ recipe, seed, name: nameOf(recipe, seed) })),
);
const unknown = wanted.find((name) => !all.some((one) => one.name === name));
if (unknown !== undefined)
  throw new Error(
    `no recipe makes "${unknown}"; there are ${all.map(({ name }) => name).join(", ")}`,
  );

for (const { recipe, seed, name } of all) {
  const isStored = storedFloats().some((one) => one.name === name);
  if (wanted.length > 0 ? !wanted.includes(name) : isStored) continue;
  let announced = performance.now();
  const path = join(os.tmpdir(), `quantbench-${name}.unfinished`);
  const keeper = await keptTraining(path, JSON.stringify(recipe), (reason) => {
    process.stderr.write(`${path} cannot be used: ${reason}\n`);
  });
  const { file, entry } = await trainRecipe(recipe, {
    seed,
    keeper,
    onStep: ({ step, steps, loss, imagesPerSecond = 0 }) => {
      if (performance.now() - announced < 30_000) return;
      announced = performance.now();
      const [part, rate] = [((100 * step) / steps).toFixed(0), imagesPerSecond.toFixed(0)];
      process.stderr.write(`${name}: ${part} %, loss ${loss.toFixed(3)}, ${rate} images/s\n`);
    },
  });
  await writeFile(fileOf(name), file);
  const others = storedFloats(true).filter((one) => one.name !== name);
  const list = [...others, entry].sort((a, b) => (a.name < b.name ? -1 : 1));
  await writeFile(LIST_FILE, `${JSON.stringify(list, null, 2)}\n`);
  await keeper.forget();
  process.stdout.write(`${name}: ${(100 * entry.accuracy).toFixed(2)} %, ${entry.sha256}\n`);
}
