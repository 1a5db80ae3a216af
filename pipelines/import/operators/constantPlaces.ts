import { sizeOf } from "../../engine/index.js";
import { stridesOf } from "../arrays.js";
import { constantValue, type OperatorReaders, type Source } from "../importing.js";
import type { Constant } from "../tensor.js";

/** Reading and writing constants at places that other constants list: tables of attention. */
export const places: OperatorReaders = {
  GatherND(source) {
    const [table, indices] = [source.constant(0), source.constant(1)];
    if (source.int("batch_dims", 0) !== 0) source.fail("has batch_dims, which are not supported");
    const { offsets, block, rest } = blocksOf(source, table, indices);
    const data = offsets.flatMap((at) =>
      Array.from({ length: block }, (_, i) => table.data[at + i] ?? 0),
    );
    return constantValue([...indices.shape.slice(0, -1), ...rest], data, table.integer);
  },
  ScatterND(source) {
    const [table, indices, updates] = [0, 1, 2].map((i) => source.constant(i)) as [
      Constant,
      Constant,
      Constant,
    ];
    if (source.text("reduction", "none") !== "none") source.fail("combines values");
    const data = Float64Array.from(table.data);
    const { offsets, block } = blocksOf(source, table, indices);
    offsets.forEach((at, k) => {
      for (let i = 0; i < block; i++) data[at + i] = updates.data[k * block + i] ?? 0;
    });
    return constantValue(table.shape, data, table.integer);
  },
};

/** Where the blocks begin that tuples of indices name, and what such a block is. */
function blocksOf(source: Source, { shape }: Constant, indices: Constant) {
  const depth = indices.shape.at(-1) ?? 0;
  const strides = stridesOf(shape);
  const rest = shape.slice(depth);
  if (depth < 1 || depth > shape.length)
    source.fail(`names places in [${shape.join()}] by ${String(depth)} indices`);
  const offsets = Array.from({ length: indices.data.length / depth }, (_, k) => {
    let offset = 0;
    for (let axis = 0; axis < depth; axis++) {
      const extent = shape[axis] ?? 0;
      const given = indices.data[k * depth + axis] ?? 0;
      const index = given < 0 ? given + extent : given;
      if (index < 0 || index >= extent)
        source.fail(`names place ${String(given)} of ${String(extent)} along axis ${String(axis)}`);
      offset += index * (strides[axis] ?? 0);
    }
    return offset;
  });
  return { offsets, rest, block: sizeOf(rest) };
}
