import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { png } from "../benchmarks/inputs/ownData/files.js";
import { floats, modelByHand } from "../pipelines/import/modelByHand.js";

/** The files that the README's example of an own network names. */
export async function writeOwnInputs(directory: string, readme: string): Promise<void> {
  const yaml = /```yaml\n(.*?)```/s.exec(readme)?.[1] ?? "";
  await writeFile(join(directory, "prepare.yaml"), yaml);
  for (const part of ["train/cat", "train/dog", "test/cat", "test/dog"]) {
    await mkdir(join(directory, "images", part), { recursive: true });
    for (const name of ["a.png", "b.png"])
      await writeFile(join(directory, "images", part, name), png(30, 20, [9, 90, 200]));
  }
  const node = (op: string, inputs: string[], output: string) => ({
    ...{ op, inputs, outputs: [output] },
  });
  const network = modelByHand({
    opset: 17,
    input: ["n", 3, 224, 224],
    nodes: [
      node("Conv", ["x", "w"], "features"),
      node("GlobalAveragePool", ["features"], "pooled"),
      node("Flatten", ["pooled"], "y"),
    ],
    constants: [floats("w", [2, 3, 1, 1], [1, 2, 3, 4, 5, 6])],
  });
  await writeFile(join(directory, "net.onnx"), network.slice());
}
