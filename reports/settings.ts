/** Nested settings as rows: "pretrain: epochs" -> 5. */
export function flatten(value: object, prefix = ""): { name: string; value: string }[] {
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    const name = `${prefix}${key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`;
    if (typeof inner === "object" && inner !== null) return flatten(inner, `${name}: `);
    return [{ name, value: String(inner) }];
  });
}
