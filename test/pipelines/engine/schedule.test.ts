import { describe, expect, test } from "vitest";
import { schedule } from "../../../pipelines/engine/trace/schedule.js";

describe("the schedule", () => {
  const node = (output: string, ...inputs: string[]) => ({
    ...{ operator: "Neg", output, inputs, attributes: {} },
  });
  const CHUNKS = new Map([
    ["x0", 0],
    ["x1", 1],
  ]);

  test("runs a chunk until it needs the others, and drops what no output needs", () => {
    const nodes = [
      node("a0", "x0"),
      node("a1", "x1"),
      node("b0", "a0"),
      node("b1", "a1"),
      node("unused", "b1"),
      node("sum", "b0", "b1"),
      node("c0", "b0", "sum"),
      node("c1", "b1", "sum"),
      node("result", "c0", "c1"),
    ];
    const ordered = schedule(nodes, new Set(["result"]), { chunkOf: CHUNKS, bytesOf: new Map() });
    const names = ordered.filter(({ operator }) => operator === "Neg").map(({ output }) => output);
    // The chunk that ran last goes on first: it is still in the cache.
    expect(names).toEqual(["a0", "b0", "a1", "b1", "sum", "c1", "c0", "result"]);
    // onnxruntime starts from the last end.
    const ends = ordered
      .filter(({ operator }) => operator === "Shape")
      .map(({ inputs }) => inputs[0]);
    expect(ends).toEqual(["c0", "c1", "b1", "b0"]);
  });

  test("ends a phase where more waits for all chunks than may", () => {
    const layer = (name: string, from: string) => [
      ...[0, 1].map((i) => node(`${name}${String(i)}`, `${from}${String(i)}`)),
      node(`${name} joined`, `${name}0`, `${name}1`),
      node(`${name} largest`, `${name} joined`),
    ];
    const nodes = [...layer("a", "x"), ...layer("b", "a"), ...layer("c", "b")];
    const outputs = new Set(["a largest", "b largest", "c largest"]);
    const bytesOf = new Map(["a", "b", "c"].map((name) => [`${name} joined`, 100]));
    const placesOf = (mostWaiting: number) => {
      const ordered = schedule(nodes, outputs, { chunkOf: CHUNKS, bytesOf, mostWaiting });
      const names = ordered.map(({ output }) => output);
      // onnxruntime starts from the last end.
      const ends = ordered.filter(({ operator }) => operator === "Shape").reverse();
      return { names, ends: ends.map(({ inputs }) => inputs[0]) };
    };
    const together = placesOf(300);
    expect(together.names.indexOf("a joined")).toBeGreaterThan(together.names.indexOf("c1"));
    expect(together.ends).toEqual(["c0", "c1"]);
    const apart = placesOf(50);
    expect(apart.names.indexOf("a largest")).toBeLessThan(apart.names.indexOf("b0"));
    // What waited has ends of its own: without them it would still be computed last.
    expect(apart.ends).toEqual([
      ...["a0", "a1", "a largest", "b1", "b0", "b largest", "c0", "c1", "c largest"],
    ]);
  });

  test("cuts a chunk up and joins it again, each value after what it is made of", () => {
    // Chunks of one image become one of two, which is cut into its images again.
    const nodes = [
      node("a0", "x0"),
      node("a1", "x1"),
      node("both", "a0", "a1"),
      node("c", "both"),
      node("d1", "c"),
      node("d0", "c"),
      node("e1", "d1", "a1"),
      node("e0", "d0", "a0"),
      node("sum", "e0", "e1"),
    ];
    const begins = { x0: 0, x1: 1, both: 0, d0: 0, d1: 1 };
    const ordered = schedule(nodes, new Set(["sum"]), {
      ...{ chunkOf: new Map(Object.entries(begins)), bytesOf: new Map() },
    });
    const known = new Set(["x0", "x1"]);
    for (const { operator, inputs, output } of ordered) {
      expect(
        inputs.filter((input) => !known.has(input)),
        `${operator} ${output}`,
      ).toEqual([]);
      known.add(output);
    }
    expect(ordered.filter(({ operator }) => operator === "Neg")).toHaveLength(nodes.length);
  });
});
