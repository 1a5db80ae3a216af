import * as tf from "#tf";
import type { Quantizer, QuantizerSite, QuantizerTensors } from "../../algorithms/algorithm.js";
import type { Engine, HostTensors, StepTensors } from "../engine/index.js";
import { casesAt, notFinite, prefixed, stateFrom, step } from "./extremes.js";
import { toValues } from "./subject.js";

/** One place and the quantizer that is tried there. */
export interface Placed {
  readonly quantizer: Quantizer;
  readonly site: QuantizerSite;
}

/** One step from tensors that are not on an engine yet. */
interface Run extends Placed {
  readonly place: number;
  readonly title: string;
  /** x, and the quantizer's values. */
  readonly host: HostTensors;
}

/** Steps on extreme tensors, those of all places in one graph: what is not finite, by place. */
export async function notFiniteOn(
  engine: Engine,
  places: readonly Placed[],
): Promise<ReadonlyMap<number, string>> {
  const runs = runsAt(places);
  const inputs = Object.fromEntries(
    runs.flatMap(({ host }, i) =>
      Object.entries(host).map(([name, tensor]) => [`${String(i)} ${name}`, tensor] as const),
    ),
  );
  const compiled = await engine.compile((tensors) => stepOfAll(runs, tensors), inputs);
  try {
    const outputs = Object.entries(await compiled.run(inputs));
    const found = new Map<number, string>();
    for (const [i, { place, title }] of runs.entries()) {
      const own = outputs.filter(([name]) => name.startsWith(`${String(i)} `));
      const results = own.map(([name, { data }]) => [name.replace(/^\d+ /, ""), data] as const);
      const problem = notFinite(title, Object.fromEntries(results));
      if (problem !== undefined && !found.has(place)) found.set(place, problem);
    }
    return found;
  } finally {
    await compiled.release();
  }
}

function runsAt(places: readonly Placed[]): Run[] {
  const runs: Run[] = [];
  for (const [place, { quantizer, site }] of places.entries()) {
    tf.tidy(() => {
      for (const entry of casesAt(site)) {
        const host = toHost({ ...stateFrom(quantizer, entry), x: entry.x });
        runs.push({ place, quantizer, title: entry.title, site: entry.site, host });
      }
    });
  }
  return runs;
}

const toHost = (tensors: QuantizerTensors): HostTensors =>
  Object.fromEntries(
    Object.entries(toValues(tensors)).map(([name, value]) => [
      name,
      { dtype: "float32", ...value },
    ]),
  );

function stepOfAll(runs: readonly Run[], tensors: StepTensors): StepTensors {
  const results: Record<string, tf.Tensor> = {};
  for (const [i, { quantizer, site, host }] of runs.entries()) {
    const own = (name: string) => tensors[`${String(i)} ${name}`] as tf.Tensor;
    const names = Object.keys(host).filter((name) => name !== "x");
    const state = Object.fromEntries(names.map((name) => [name, own(name)]));
    const x = fromConvolution(own("x"), site);
    Object.assign(results, prefixed(String(i), step({ quantizer, site, x, state })));
  }
  return results;
}

/** An activation comes from a convolution, behind which engines have layouts of their own. */
function fromConvolution(x: tf.Tensor, { role }: QuantizerSite): tf.Tensor {
  if (role === "weight") return x;
  const channels = x.shape[3] ?? 1;
  const filter = tf.reshape(tf.eye(channels), [1, 1, channels, channels]);
  return tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, 1, "valid");
}
