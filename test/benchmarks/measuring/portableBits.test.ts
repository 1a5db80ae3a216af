import { expect, test } from "vitest";
import { EXPECTED_BITS, portableBits } from "../../../benchmarks/measuring/portableBits.js";

test("trainings on the portable engine end with the same bits on every machine", async () => {
  expect(await portableBits()).toEqual(EXPECTED_BITS);
});
