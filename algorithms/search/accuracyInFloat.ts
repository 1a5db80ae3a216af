import type { Laboratory } from "../laboratory.js";

/** Share of the images that are held out which the float network classifies right. */
export async function accuracyInFloat({
  prepare,
  parameters,
  heldOut,
}: Pick<Laboratory, "prepare" | "parameters" | "heldOut">): Promise<number> {
  const run = prepare({ by: [], training: false });
  let [correct, images] = [0, 0];
  for (const batch of heldOut) {
    correct += (await run(parameters, batch)).correct;
    images += batch.labels.data.length;
  }
  return correct / images;
}
