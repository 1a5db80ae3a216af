import type { FloatNode } from "../../../algorithms/network.js";
import { refuse, tensorOf, type Writing } from "./writing.js";

/**
 * All values of an image behind one another, in the order of ONNX: channel by channel, unless the
 * network has channels last. Integers keep their grid; a quantizer behind it rescales.
 */
export function flatten(node: FloatNode, writing: Writing, channelsLast: boolean): number {
  const { model, free, batch } = writing;
  const [input = ""] = node.inputs;
  const tensor = tensorOf(writing, input);
  const { type, grid, shape } = model.at(tensor);
  if (type !== "int8") return refuse(node.name, "its value is needed in float between integers");
  const [, height = 1, width = 1, channels = 1] = shape;
  const values = { type, ...(grid && { grid }) } as const;
  const list = (name: string, data: readonly number[]) =>
    model.tensor({
      ...{ name: free(`${node.name} ${name}`), type: "int32", shape: [data.length] },
      data: Int32Array.from(data),
    });
  const isOrdered = channelsLast || channels === 1 || height * width === 1;
  const ordered = isOrdered
    ? tensor
    : model.add(
        "TRANSPOSE",
        [tensor, list("order", [0, 3, 1, 2])],
        model.tensor({
          ...{ name: free(`${node.name} by channel`), ...values },
          shape: [batch, channels, height, width],
        }),
      );
  const flat = [batch, height * width * channels];
  const result = model.tensor({ name: node.name, ...values, shape: flat });
  return model.add("RESHAPE", [ordered, list("shape", flat)], result);
}
