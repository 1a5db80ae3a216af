import { dataTypeCode } from "../../../onnx/index.js";
import type { Operation } from "../operation.js";

/** Past the end of any axis. */
const ALL = 2 ** 31 - 1;

/** What gives values other axes, takes parts, puts them together, and reduces them. */
export const shapes = {
  RESHAPE(operation: Operation): void {
    const wanted = operation.has(1) ? operation.input(1) : operation.listed(operation.ints(0));
    // A size of 0 is 0 here, where ONNX takes the input's.
    operation.give("Reshape", [operation.input(0), wanted], { allowzero: 1 });
  },
  TRANSPOSE: (operation: Operation) => {
    operation.give("Transpose", [operation.input(0)], { perm: operation.integers(1) });
  },
  SQUEEZE(operation: Operation): void {
    const named = operation.ints(0);
    const axes = named.length > 0 ? { axes: named } : {};
    operation.give("Squeeze", [operation.input(0)], axes);
  },
  EXPAND_DIMS: (operation: Operation) => {
    operation.give("Unsqueeze", [operation.input(0)], { axes: operation.integers(1) });
  },
  BROADCAST_TO: (operation: Operation) => {
    operation.give("Expand", [operation.input(0), operation.input(1)]);
  },
  SHAPE: (operation: Operation) => {
    operation.give("Shape", [operation.input(0)]);
  },

  CONCATENATION(operation: Operation): void {
    const parts = Array.from({ length: operation.inputCount }, (_, i) => operation.input(i));
    operation.giveActivated(operation.byte(1), "Concat", parts, { axis: operation.int(0) });
  },
  PACK(operation: Operation): void {
    const axis = operation.int(1);
    const parts = Array.from({ length: operation.inputCount }, (_, i) =>
      operation.add("Unsqueeze", [operation.input(i)], { axes: [axis] }),
    );
    operation.give("Concat", parts, { axis });
  },
  SPLIT(operation: Operation): void {
    const [axis = 0] = operation.integers(0);
    operation.give("Split", [operation.input(1)], { axis });
  },
  SPLIT_V(operation: Operation): void {
    const [axis = 0] = operation.integers(2);
    operation.give("Split", [operation.input(0), operation.input(1)], { axis });
  },
  GATHER(operation: Operation): void {
    if (operation.int(1) !== 0) operation.fail("has batch_dims, which are not supported");
    const inputs = [operation.input(0), operation.input(1)];
    operation.give("Gather", inputs, { axis: operation.int(0) });
  },
  SLICE(operation: Operation): void {
    const [starts, sizes] = [operation.integers(1), operation.integers(2)];
    const ends = starts.map((start, axis) => {
      const size = sizes[axis] ?? -1;
      return size < 0 ? ALL : start + size;
    });
    operation.give("Slice", [operation.input(0)], { starts, ends });
  },
  STRIDED_SLICE(operation: Operation): void {
    const [begins, ends, steps] = [1, 2, 3].map((i) => operation.integers(i)) as [
      number[],
      number[],
      number[],
    ];
    const [fromStart, toEnd, ellipsis, added, dropped] = [0, 1, 2, 3, 4].map((slot) =>
      operation.int(slot),
    ) as [number, number, number, number, number];
    const has = (mask: number, axis: number) => ((mask >> axis) & 1) === 1;
    if (ellipsis !== 0 || added !== 0) operation.fail("has an ellipsis or new axes");
    const axes = begins.map((_, axis) => axis).filter((axis) => has(dropped, axis));
    const single = (axis: number) => axes.includes(axis);
    const back = (axis: number) => (steps[axis] ?? 1) < 0;
    const slice = {
      starts: begins.map((begin, axis) =>
        has(fromStart, axis) && !single(axis) ? (back(axis) ? ALL : 0) : begin,
      ),
      ends: ends.map((end, axis) => {
        const begin = begins[axis] ?? 0;
        if (single(axis)) return begin === -1 ? ALL : begin + 1;
        return has(toEnd, axis) ? (back(axis) ? -ALL : ALL) : end;
      }),
      axes: begins.map((_, axis) => axis),
      steps: steps.map((step, axis) => (single(axis) ? 1 : step)),
    };
    const part = (list: readonly number[]) => operation.listed(list);
    const inputs = [
      ...[operation.input(0), part(slice.starts), part(slice.ends)],
      ...[part(slice.axes), part(slice.steps)],
    ];
    if (axes.length === 0) operation.give("Slice", inputs);
    else operation.give("Squeeze", [operation.add("Slice", inputs)], { axes });
  },

  MEAN: (operation: Operation) => {
    reduce(operation, "ReduceMean");
  },
  SUM: (operation: Operation) => {
    reduce(operation, "ReduceSum");
  },
  REDUCE_MAX: (operation: Operation) => {
    reduce(operation, "ReduceMax");
  },

  BATCH_MATMUL(operation: Operation): void {
    const turned = (index: number, turns: boolean) => {
      const rank = operation.shape(index).length;
      const axes = Array.from({ length: rank }, (_, axis) => axis);
      const perm = [...axes.slice(0, -2), rank - 1, rank - 2];
      return turns
        ? operation.add("Transpose", [operation.input(index)], { perm })
        : operation.input(index);
    };
    operation.give("MatMul", [turned(0, operation.flag(0)), turned(1, operation.flag(1))]);
  },

  CAST: (operation: Operation) => {
    const whole = operation.outputType !== "float32";
    operation.give("Cast", [operation.input(0)], { to: dataTypeCode(whole ? "int64" : "float32") });
  },
  DEQUANTIZE(operation: Operation): void {
    const { type } = operation.tensor(0);
    if (type !== "float16" && type !== "float32")
      operation.fail(`reads ${type}: quantized already`);
    operation.give("Identity", [operation.input(0)]);
  },
};

function reduce(operation: Operation, operator: string): void {
  const attributes = { axes: operation.integers(1), keepdims: operation.byte(0) };
  operation.give(operator, [operation.input(0)], attributes);
}
