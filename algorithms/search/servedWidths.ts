/** How a value is named that is another one where the weights have so many bits. */
export const nameAtWidth = (name: string, bits: number): string =>
  `${name} at ${String(bits)} bits`;

/** All values, those that depend on the width as they are at one. */
export function servedAt<Value>(
  values: Readonly<Record<string, Value>>,
  bits: number,
): Readonly<Record<string, Value>> {
  const ending = nameAtWidth("", bits);
  const own = Object.entries(values).flatMap(([name, value]) =>
    name.endsWith(ending) ? [[name.slice(0, -ending.length), value] as const] : [],
  );
  return { ...values, ...Object.fromEntries(own) };
}
