import * as tf from "#tf";
import { lower, type TraceBackend } from "./traceBackend.js";

interface Operands {
  readonly a: tf.TensorInfo;
  readonly b: tf.TensorInfo;
}

lower<Operands, { transposeA: boolean; transposeB: boolean }>(
  "BatchMatMul",
  ({ a, b }, { transposeA, transposeB }, trace) => {
    const [rowsA = 1, columnsA = 1] = a.shape.slice(-2);
    const [rowsB = 1, columnsB = 1] = b.shape.slice(-2);
    const rows = transposeA ? columnsA : rowsA;
    const inner = transposeA ? rowsA : columnsA;
    const columns = transposeB ? rowsB : columnsB;
    const batch = tf.backend_util.assertAndGetBroadcastShape(
      a.shape.slice(0, -2),
      b.shape.slice(0, -2),
    );
    const shape = [...batch, rows, columns];
    const size = tf.util.sizeFromShape(shape);
    if (size === 0 || inner === 0) {
      return trace.constantResult(new Float32Array(size), shape, "float32");
    }
    if (tf.util.sizeFromShape(batch) === 1) {
      const product = trace.graph.add(
        "Gemm",
        [
          trace.reshape(trace.plain(a), [rowsA, columnsA]),
          trace.reshape(trace.plain(b), [rowsB, columnsB]),
        ],
        { transA: Number(transposeA), transB: Number(transposeB) },
      );
      return trace.result(trace.reshape(product, shape), shape, "float32");
    }
    const product = trace.graph.add("MatMul", [
      transposeA ? swapLastTwo(trace, a) : trace.plain(a),
      transposeB ? swapLastTwo(trace, b) : trace.plain(b),
    ]);
    return trace.result(product, shape, "float32");
  },
);

function swapLastTwo(trace: TraceBackend, x: tf.TensorInfo): string {
  const rank = x.shape.length;
  const perm = [...x.shape.keys()].slice(0, rank - 2);
  return trace.graph.add("Transpose", [trace.plain(x)], { perm: [...perm, rank - 1, rank - 2] });
}
