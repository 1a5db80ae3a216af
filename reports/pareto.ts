/**
 * Members that no other member beats: none is at least as good in both and better in one.
 *
 * @param coordinates cost (smaller is better) and worth (larger is better)
 * @returns in order of rising cost
 */
export function paretoFront<T>(
  members: readonly T[],
  coordinates: (member: T) => readonly [cost: number, worth: number],
): T[] {
  const sorted = members
    .map((member) => ({ member, place: coordinates(member) }))
    .sort((a, b) => a.place[0] - b.place[0] || b.place[1] - a.place[1]);
  let best = -Infinity;
  let cost = NaN;
  return sorted
    .filter(({ place: [x, y] }) => {
      // Equal in both: neither beats the other.
      const kept = y > best || (y === best && x === cost);
      if (kept) [cost, best] = [x, y];
      return kept;
    })
    .map(({ member }) => member);
}
