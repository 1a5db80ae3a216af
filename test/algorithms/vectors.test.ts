import * as tf from "#tf";
import { describe, expect, test } from "vitest";
import type { QuantizerSite } from "../../algorithms/algorithm.js";
import { algorithms } from "../../algorithms/index.js";
import {
  float32,
  loadEngine,
  type Engine,
  type HostTensors,
} from "../../pipelines/engine/index.js";
import { readInputs, readVectors, type VectorGroup } from "./vectors/readVectors.js";

/** Algorithms by the file that their quantizers must equal; see vectors/README.md. */
const FILES: readonly (readonly [algorithm: string, file: string])[] = [
  ...[
    ...["lsq", "lsqMqbench", "pact", "pactMqbench", "dorefa", "dorefaMqbench", "dsq", "dsqMqbench"],
    ...["tqt", "qil", "qilMqbench", "apot", "palquant", "channelwiseSize", "adaRound"],
    "logarithmic",
  ].map((name) => [name, name] as const),
  ["lsqPlus", "lsq"], // other first values
  ["tqtMqbench", "tqt"], // the threshold learns nothing
];

const inputs = readInputs();

function siteOf({ role, scheme, nonNegative }: VectorGroup): QuantizerSite {
  const { shape } = nonNegative ? inputs.rectified : inputs.signed;
  return {
    ...{ id: "vectors", role, scheme, nonNegative, channelAxis: 3, multiplications: 0 },
    shape: role === "weight" ? shape : shape.slice(1),
  };
}

/** One case: what goes in, and what must come out. */
function caseAt({ nonNegative, fields }: VectorGroup, index: number) {
  const { shape, x, dy } = nonNegative ? inputs.rectified : inputs.signed;
  const at = (field: string): { shape: readonly number[]; data: Float32Array } => {
    const { shape: own, data } = fields[field] ?? { shape: [], data: new Float32Array(0) };
    const size = own.reduce((a, b) => a * b, 1);
    return { shape: own, data: data.slice(index * size, (index + 1) * size) };
  };
  const size = shape.reduce((a, b) => a * b, 1);
  const start = (at("input").data[0] ?? NaN) * size;
  const y = at("y").data;
  // What float32 may decide otherwise has no output, and gives no gradient.
  const counted = dy.slice(start, start + size).map((value, i) => (Number.isNaN(y[i]) ? 0 : value));
  const isValue = (field: string) => !/^(input|y|dx|d .*|size .*)$/.test(field);
  const values = Object.keys(fields).filter(isValue);
  const host: HostTensors = {
    x: float32(x.slice(start, start + size), shape),
    dy: float32(counted, shape),
    ...Object.fromEntries(values.map((name) => [name, float32(at(name).data, at(name).shape)])),
  };
  return { host, at };
}

/** Runs every case of a group on an engine; what differs. */
async function differences(engine: Engine, name: string, group: VectorGroup): Promise<string[]> {
  const algorithm = algorithms.find((entry) => entry.name === name);
  const quantizer = algorithm?.[group.role];
  if (quantizer === undefined) throw new Error(name);
  const site = siteOf(group);
  const learned = quantizer.learned.filter((value) => value in group.fields);
  const compiled = await engine.compile(({ x, dy, ...state }) => {
    const [dx, ...others] = tf.grads((input: tf.Tensor, ...trained: tf.Tensor[]) => {
      const named = Object.fromEntries(learned.map((value, i) => [value, trained[i] as tf.Tensor]));
      const y = quantizer.fakeQuantize(input, { ...state, ...named }, site);
      return tf.sum(tf.mul(y, dy as tf.Tensor));
    })([x as tf.Tensor, ...learned.map((value) => state[value] as tf.Tensor)]);
    return {
      y: quantizer.fakeQuantize(x as tf.Tensor, state, site),
      dx: dx as tf.Tensor,
      ...Object.fromEntries(others.map((gradient, i) => [`d ${learned[i] ?? ""}`, gradient])),
    };
  }, caseAt(group, 0).host);
  const found: string[] = [];
  for (let i = 0; i < group.cases; i++) {
    const { host, at } = caseAt(group, i);
    const actual = await compiled.run(host);
    for (const field of ["y", "dx", ...learned.map((value) => `d ${value}`)]) {
      if (!(field in group.fields)) continue;
      const problem = difference(at(field).data, actual[field]?.data, {
        // Sums of gradients are compared by what they are sums of.
        sizes: field.startsWith("d ") ? at(field.replace("d ", "size ")).data : undefined,
        slack: field === "y" ? 2e-5 : 1e-3,
      });
      if (problem !== undefined) found.push(`case ${String(i)}, ${field}${problem}`);
    }
  }
  await compiled.release();
  return found;
}

function difference(
  expected: Float32Array,
  actual: ArrayLike<number> | undefined,
  { sizes, slack }: { sizes: Float32Array | undefined; slack: number },
): string | undefined {
  const largest = expected.reduce((most, v) => (Math.abs(v) > most ? Math.abs(v) : most), 0);
  const most = sizes === undefined ? largest : Math.max(...sizes);
  const wrong = expected.findIndex((value, i) => {
    const error = Math.abs((actual?.[i] ?? NaN) - value);
    const allowed = slack * (sizes?.[i] ?? largest) + 1e-6 * most + 1e-30;
    return !Number.isNaN(value) && !(error <= allowed);
  });
  return wrong < 0
    ? undefined
    : `[${String(wrong)}]: ${String(actual?.[wrong])} instead of ${String(expected[wrong])}`;
}

const describeGroup = ({ role, scheme, nonNegative }: VectorGroup): string => {
  const { bitWidth, granularity, scaleForm } = scheme;
  const flags = [
    scheme.symmetric ? "symmetric" : "affine",
    scheme.signed ? "signed" : "unsigned",
    ...(scheme.narrowRange ? ["narrow"] : []),
    ...(nonNegative ? ["rectified"] : []),
  ];
  return `${role}, ${String(bitWidth)} bits, ${flags.join(" ")}, ${granularity}, ${scaleForm}`;
};

const engines = [
  { engine: await loadEngine("tfjs"), all: true },
  { engine: await loadEngine("auto"), all: false },
];

describe.each(engines)("on $engine.name", ({ engine, all }) => {
  test.each(FILES)("%s computes what its source does (%s)", async (name, file) => {
    const groups = readVectors(file);
    const widths = groups.map(({ scheme }) => scheme.bitWidth);
    // Compiling takes long: one bit width tells whether operators do the same.
    const only = widths.includes(4) ? 4 : widths[0];
    const found: string[] = [];
    for (const group of groups.filter(({ scheme }) => all || scheme.bitWidth === only)) {
      const problems = await differences(engine, name, group);
      found.push(...problems.map((problem) => `${describeGroup(group)}: ${problem}`));
    }
    expect(found).toEqual([]);
  });
});

test.each(FILES)("%s has at least 50 cases of each scheme (%s)", (_, file) => {
  const cases = new Map<string, number>();
  for (const { role, scheme, nonNegative, cases: count } of readVectors(file)) {
    const key = JSON.stringify([role, { ...scheme, bitWidth: 0 }, nonNegative]);
    cases.set(key, (cases.get(key) ?? 0) + count);
  }
  for (const [key, count] of cases) expect(count, key).toBeGreaterThanOrEqual(50);
});
