import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { decodingThreads } from "../../../../benchmarks/inputs/ownData/decodingThreads.js";
import { loadOwnData } from "../../../../benchmarks/inputs/ownData/index.js";
import { png, temporary } from "./files.js";

const COUNT = 40; // enough for threads
const colour = (index: number) => [index, 255 - index, 7 * (index % 30)] as const;

async function pictures(): Promise<{ path: string; files: string[] }> {
  const path = await temporary();
  const files = Array.from({ length: COUNT }, (_, i) =>
    join(path, "test", `c${String(i % 2)}`, `${String(i).padStart(3, "0")}.png`),
  );
  for (const name of ["c0", "c1"]) await mkdir(join(path, "test", name), { recursive: true });
  for (const [i, file] of files.entries()) await writeFile(file, png(8, 4, colour(i)));
  return { path, files };
}

test("pictures decoded in threads are those that were asked for, in any order", async () => {
  const { files } = await pictures();
  const picture = (index: number) => ({
    ...{ file: files[index] ?? "", size: [2, 2] as const, preprocessing: { crop: 2 } },
  });
  for (const index of files.keys()) decodingThreads.ask(picture(index));
  for (const index of [39, 0, 17, 17, 3])
    // the second 17 was not asked for
    expect([...decodingThreads.take(picture(index))]).toEqual([
      ...[colour(index), colour(index), colour(index), colour(index)].flat(),
    ]);
});

test("a folder of many pictures is read by threads, each to its label", async () => {
  const { path, files } = await pictures();
  const { train, test: tested } = await loadOwnData({ path: join(path, "test") });
  expect(train.count + tested.count).toBe(COUNT);
  for (const { count, images, labels } of [train, tested])
    for (let i = 0; i < count; i++) {
      const index = images[i * 8 * 4 * 3] ?? NaN; // red is the picture's number
      expect(images.subarray(i * 96, i * 96 + 3)).toEqual(Uint8Array.from(colour(index)));
      expect(labels[i]).toBe(index % 2);
    }
  const damaged = files[33] ?? "";
  await writeFile(damaged, png(8, 4, [0, 0, 0]).subarray(0, 40));
  await expect(loadOwnData({ path: join(path, "test") })).rejects.toThrow(
    `${damaged} is not a readable JPEG or PNG file`,
  );
});
