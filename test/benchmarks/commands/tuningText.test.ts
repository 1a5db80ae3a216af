import { expect, test } from "vitest";
import { tuningText } from "../../../benchmarks/commands/tuningText.js";

const float = { form: "float", milliseconds: 1, share: 1, agreement: 1 };
const textOf = (integers: { share: number; agreement?: number }) =>
  tuningText({
    ...{ name: "float", model: new Uint8Array(), inFloat: "all", agreement: 1, accuracy: 0.9 },
    tried: [float, { form: "QuantizeLinear", milliseconds: integers.share, ...integers }],
  });

test("says whether integers are slow, or fast and something else than their simulation", () => {
  expect(textOf({ share: 1.1 })).toContain("Integers do not pay here");
  expect(textOf({ share: 0.64, agreement: 0.921 })).toMatch(
    /left out, since it predicts 92\.10 % .*\n\nIntegers are faster here, but predict less than 99 %/,
  );
  // What is slow is not compared with its simulation.
  expect(textOf({ share: 1.1, agreement: 0.5 })).toContain("Integers do not pay here");
});
