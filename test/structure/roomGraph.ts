import { cruise, type ICruiseResult } from "dependency-cruiser";
import rules, { FOLDERS, ROOMS } from "./rules.mjs";

/** Which rooms a room imports; loose files beside rooms, and folders without rooms, count as one each. */
export type RoomGraph = ReadonlyMap<string, ReadonlySet<string>>;

/** Rooms and what they import, from the code as it is. */
export async function importsBetweenRooms(): Promise<RoomGraph> {
  const { output } = await cruise(Object.keys(FOLDERS), { ...rules.options });
  const graph = new Map<string, Set<string>>();
  for (const { source, dependencies } of (output as ICruiseResult).modules) {
    const from = roomOf(source);
    const imported = graph.get(from) ?? new Set();
    graph.set(from, imported);
    for (const { resolved } of dependencies) {
      const to = roomOf(resolved);
      if (to !== from) imported.add(to);
    }
  }
  return graph;
}

function roomOf(file: string): string {
  const [folder = "", room = ""] = file.split("/");
  return folder in ROOMS ? room.replace(/\.ts$/, "") : folder;
}

/** The fewest arrows from which the same can be reached: what a drawing has to show. */
export function withoutShortcuts(graph: RoomGraph): RoomGraph {
  const reaches = (from: string, to: string, seen = new Set<string>()): boolean =>
    [...(graph.get(from) ?? [])].some((next) => {
      if (next === to) return true;
      if (seen.has(next)) return false;
      seen.add(next);
      return reaches(next, to, seen);
    });
  return new Map(
    [...graph].map(([from, imported]) => [
      from,
      new Set(
        [...imported].filter(
          (to) => ![...imported].some((between) => between !== to && reaches(between, to)),
        ),
      ),
    ]),
  );
}
