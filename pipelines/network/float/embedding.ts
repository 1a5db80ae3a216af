import * as tf from "#tf";
import { sizeOf } from "../../engine/index.js";
import { first, one, type DefinitionOf } from "./definition.js";

/** Tokens of any shape become a row of pixels, with the features of each as its channels. */
export const embedding: DefinitionOf<"embedding"> = {
  shape: ({ features }, shapes) => [1, sizeOf(first(shapes)), features],
  compute({ rows, features }, { inputs, parameter }) {
    const x = one(inputs);
    const [batch = 1, ...rest] = x.shape;
    const tokens = tf.cast(tf.reshape(x, [batch * sizeOf(rest)]), "int32");
    // Each row gets what came back for the tokens that name it; the gather's own gradient has no kernel here.
    const lookUp = tf.customGrad<tf.Tensor>((...args: unknown[]) => {
      const [table, save] = args as [tf.Tensor, tf.GradSaveFunc];
      save([tokens]);
      return {
        value: tf.gather(table, tokens),
        gradFunc(dy: tf.Tensor, [named = tokens]: tf.Tensor[]) {
          const hot = tf.oneHot(named, rows);
          return [tf.matMul(tf.cast(hot, "float32"), tf.reshape(dy, [-1, features]), true)];
        },
      };
    });
    return tf.reshape(lookUp(parameter("table")), [batch, 1, sizeOf(rest), features]);
  },
  onnx({ rows, features }, { graph, inputs, parameter, name }) {
    const INT64 = 7; // TensorProto.DataType
    const tokens = graph.add("Cast", [graph.add("Flatten", inputs)], { to: INT64 });
    const table = graph.constant("float32", [rows, features], parameter("table").data);
    const turned = graph.add("Transpose", [graph.add("Gather", [table, tokens], { axis: 0 })], {
      perm: [0, 2, 1],
    });
    return graph.add("Unsqueeze", [turned, graph.integers([2])], {}, name);
  },
  parameters: ({ rows, features }) => ({ table: [rows, features] }),
};
