import { rankOf, type Feature } from "./feature.js";
import type { Source } from "./importing.js";

/** A Gather of a constant table's rows that computed whole numbers name; nothing where it is another one. */
export function embedded(source: Source): Feature | undefined {
  const [table, tokens] = [source.input(0), source.input(1)];
  if (table.kind !== "constant" || tokens.kind !== "feature") return undefined;
  const { shape, data } = table.constant;
  const [rows = 1, features = 1] = shape;
  if (shape.length !== 2 || source.int("axis", 0) !== 0 || rankOf(tokens) !== 2)
    return source.fail(`takes rows of a table of [${shape.join()}]; it must have two axes`);
  const feature = source.importing.add(
    source.output,
    (name) => ({
      ...{ op: "float", name, inputs: [tokens.node] },
      operation: { kind: "embedding", rows, features },
    }),
    { axes: [1, 2] },
  );
  source.importing.setParameter(`${feature.node}/table`, shape, data);
  return feature;
}
