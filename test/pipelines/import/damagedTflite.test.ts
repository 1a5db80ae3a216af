import { describe, expect, test } from "vitest";
import { randomStream } from "../../../pipelines/engine/index.js";
import { importTflite } from "../../../pipelines/import/index.js";
import { values } from "./beside.js";
import { tfliteByHand, type HandLite } from "./tfliteByHand.js";
import { floats, list, op, conv, activation, OP, around, FULL, unary } from "./tfliteParts.js";
import { SHAPES } from "./tfliteShapes.js";

const random = randomStream(9, "damage");
const read = (bytes: Uint8Array, output?: string) =>
  importTflite(bytes, { imageShape: [6, 6, 3], ...(output !== undefined && { output }) });
const plain = () => unary(OP.RELU);

describe("what is not a network", () => {
  test("truncated files", () => {
    const bytes = tfliteByHand(plain());
    expect(bytes.length).toBeGreaterThan(1000);
    for (let length = 0; length < bytes.length; length += 13)
      expect(() => read(bytes.subarray(0, length))).toThrow(/truncated/);
    expect(() => read(new TextEncoder().encode("<html>not found</html>"))).toThrow(
      /no TensorFlow Lite file.*"TFL3"/,
    );
  });

  test("random changes end in an error or a network within a second, never in a crash", () => {
    const bytes = tfliteByHand(SHAPES["channels split, joined and with new ones"]?.() ?? plain());
    let refused = 0;
    for (let i = 0; i < 1000; i++) {
      const changed = bytes.slice();
      for (let count = 1 + random.integer(4); count > 0; count--) {
        const at = random.integer(changed.length);
        changed[at] =
          random.integer(2) === 0
            ? random.integer(256)
            : ([0, 255, 127, 128][random.integer(4)] ?? 0);
      }
      const start = performance.now();
      try {
        read(changed);
      } catch (error) {
        refused++;
        expect(error).toBeInstanceOf(Error);
        expect((error as Error).message).not.toBe("");
        expect((error as Error).message).not.toMatch(/undefined|is not a function|Cannot read/);
      }
      expect(performance.now() - start).toBeLessThan(1000);
    }
    expect(refused).toBeGreaterThan(100);
  });

  test.each<[string, () => HandLite, RegExp]>([
    [
      "an unknown operator",
      () => unary(OP.LSTM),
      /LSTM "features" is not supported\. .*--output.*CONV_2D/,
    ],
    [
      "an operator of somebody's own",
      () => around([{ ...op(OP.CUSTOM, ["stem"], { features: FULL }), custom: "MyPool" }]),
      /CUSTOM MyPool "features" is not supported/,
    ],
    [
      "weights of integers",
      () =>
        around([op(OP.CONV_2D, ["stem", "w"], { features: FULL }, conv())], {
          w: { shape: [8, 1, 1, 8], type: "int8", values: values(64, -100, 100), step: 0.02 },
        }),
      /is quantized already: "w" has int8 values in steps of 0\.0200; give the float network/,
    ],
    [
      "an image of bytes",
      () => ({ ...plain(), inputType: 3 }),
      /the input "x" takes uint8; float32/,
    ],
    [
      "several outputs",
      () => ({ ...plain(), outputs: ["features", "y"] }),
      /has 2: features, y\. Choose the class scores with --output/,
    ],
    [
      "a cycle",
      () =>
        around([
          op(OP.ADD, ["stem", "later"], { features: FULL }, activation(11)),
          op(OP.RELU, ["features"], { later: FULL }),
        ]),
      /before it is computed: the graph has a cycle/,
    ],
    [
      "fewer values than the shape says",
      () =>
        around([op(OP.ADD, ["stem", "few"], { features: FULL }, activation(11))], {
          few: { ...floats([4]), shape: [8] },
        }),
      /constant "few" of shape \[8\] holds 4 values instead of 8/,
    ],
    [
      "weights for other channels",
      () =>
        around([op(OP.CONV_2D, ["stem", "w"], { features: FULL }, conv())], {
          w: floats([8, 1, 1, 5]),
        }),
      /\(CONV_2D\)": has weights for 5 channels and reads 8|weights for 5 channels and reads 8/,
    ],
    [
      "a result that no memory holds",
      () =>
        around([op(OP.RESIZE_BILINEAR, ["stem", "size"], { features: FULL })], {
          size: list(2 ** 30, 2 ** 30),
        }),
      /gives \[1073741824,1073741824,8\] for one image/,
    ],
    [
      "a computed order of axes",
      () =>
        around([
          op(OP.SHAPE, ["stem"], { order: [4] }),
          op(OP.TRANSPOSE, ["stem", "order"], { features: FULL }),
        ]),
      /TRANSPOSE "features" needs constant integers as input 1 \("order"\)/,
    ],
    [
      "an activation that LiteRT leaves out",
      () =>
        around([op(OP.CONV_2D, ["stem", "w"], { features: FULL }, conv({ act: 4 }))], {
          w: floats([8, 1, 1, 8]),
        }),
      /CONV_2D "features" ends with the activation tanh/,
    ],
  ])("%s", (_, make, message) => {
    expect(() => read(tfliteByHand(make()))).toThrow(message);
  });

  test("an output that is not there", () => {
    expect(() => read(tfliteByHand(plain()), "ghost")).toThrow(/no output "ghost"; it has y/);
  });

  test("many tensors that share one name or one buffer", () => {
    // A vector of 100,000 places that are all the same tensor, whose name is long.
    const bytes = tfliteByHand({ ...plain(), repeated: 100_000, long: 50_000 });
    expect(() => read(bytes)).toThrow(/its parts refer to the same bytes over and over/);
  });
});
