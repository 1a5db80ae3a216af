/** @throws TypeError where there is no entry of that name */
export function existing<T>(entries: Readonly<Record<string, T>>, name: string): T {
  const entry = entries[name];
  if (entry === undefined) throw new TypeError(`"${name}" is missing`);
  return entry;
}
