import { expect, test } from "vitest";
import { compare } from "../../../benchmarks/stored/verify.js";

test("what results of an earlier version lack is not a difference; all else is", () => {
  const stored = { weightHash: "a", inspection: { sites: [{ id: "stem" }] } };
  const repeated = {
    weightHash: "a",
    correctImages: { device: "AA==" },
    inspection: { sites: [{ id: "stem", histogram: { counts: "AA==" } }] },
  };
  expect(compare("cell", stored, repeated)).toEqual([]);
  expect(compare("cell", repeated, stored).map(({ field }) => field)).toEqual([
    "correctImages",
    "inspection.sites.0.histogram",
  ]);
  expect(compare("cell", stored, { ...stored, weightHash: "b" })).toHaveLength(1);
  expect(compare("cell", stored, { ...stored, another: 1 })).toHaveLength(1);
});
