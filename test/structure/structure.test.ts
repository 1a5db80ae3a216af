import { readdir, readFile } from "node:fs/promises";
import { cruise, type ICruiseResult } from "dependency-cruiser";
import { describe, expect, test } from "vitest";
import { importsBetweenRooms, withoutShortcuts } from "./roomGraph.js";
import rules, { ROOMS } from "./rules.mjs";

/** Arrows of the drawing in CONTRIBUTING.md, "a --> b": b is made with what a gives. */
async function drawnArrows(): Promise<string[]> {
  const guide = await readFile("CONTRIBUTING.md", "utf8");
  const [, drawing] = /```mermaid\n(.*?)```/s.exec(guide) ?? [];
  if (drawing === undefined) throw new Error("CONTRIBUTING.md has no drawing");
  return [...drawing.matchAll(/^ *(\w+) --> (\w+)$/gm)].map(([arrow]) => arrow.trim());
}

describe("the structure of the code", () => {
  test("CONTRIBUTING.md draws the rooms and arrows that the imports have", async () => {
    const graph = withoutShortcuts(await importsBetweenRooms());
    const arrows = [...graph].flatMap(([room, imported]) =>
      [...imported].map((other) => `${other} --> ${room}`),
    );
    expect((await drawnArrows()).toSorted()).toEqual(arrows.toSorted());
  });

  test.each(Object.entries(ROOMS))(
    "%s has the rooms that the rules name",
    async (folder, rooms) => {
      const entries = await readdir(folder, { withFileTypes: true });
      const withCode = await Promise.all(
        entries
          .filter((entry) => entry.isDirectory())
          .map(async ({ name }) =>
            (await readdir(`${folder}/${name}`)).includes("index.ts") ? name : [],
          ),
      );
      expect(withCode.flat().toSorted()).toEqual(rooms.toSorted());
    },
  );

  test("each door says in its first lines what its room is for", async () => {
    for (const [folder, rooms] of Object.entries(ROOMS))
      for (const room of rooms) {
        const door = await readFile(`${folder}/${room}/index.ts`, "utf8");
        expect(door, `${folder}/${room}/index.ts`).toMatch(/^(\/\/ .+\n){2,4}(import|export)/);
        expect(door, `${folder}/${room}/index.ts`).toMatch(/^(\/\/ .+\n)*.*\bnewcomer\b/);
      }
  });

  test("a file that enters a room by the window, and a circle of types, are found", async () => {
    const { output } = await cruise(["test/structure/offenders"], {
      ...rules.options,
      validate: true,
      ruleSet: { forbidden: rules.forbidden },
    });
    const found = (output as ICruiseResult).summary.violations.map(({ rule }) => rule.name);
    expect(found).toContain("pipelines/engine is entered by its index.ts");
    expect(found).toContain("no circles");
  });
});
