import { existing } from "../existing.js";
import type { Found, Laboratory } from "../laboratory.js";
import type { QuantizerSite, QuantizerValue, QuantizerValues } from "../quantizer.js";
import { descend, startDescent, type Descent } from "../search/descent.js";
import { nameAt } from "../search/siteValues.js";
import { blockForm, toKernel, toRows, type BlockForm } from "./blocks.js";
import { ORDER } from "./matrix.js";
import { rebuiltKernel, type ProjectionOptions } from "./project.js";
import { projectAll, STORED } from "./projectAll.js";
import { firstOf, isBetter, judgeOf, roundsWithin, trainedNames } from "./retrain.js";
import { signSwitch } from "./signSwitch.js";
import { decodeBlocks, encodeBlocks, STORED_EXPONENTS, toStored } from "./storage.js";

/** Of a layer's coefficients so many have their step counted at first, those of the largest steps for their size. */
const COUNTED = 0.002;
/** The code's: a coefficient changes at the first step that counts. */
const BAR = 1;
const CELLS = ORDER * ORDER;

/** A layer that stays decomposed. */
interface Layer {
  readonly site: QuantizerSite;
  readonly form: BlockForm;
}

const partOf = ({ site }: Layer, part: "coefficients" | "basis"): string => `${site.id} ${part}`;
const PARTS = ["coefficients", "basis"] as const;

const vector = (data: Float32Array): QuantizerValue => ({ shape: [data.length], data });

interface State {
  readonly descent: Descent;
  /** By layer. */
  readonly counters: Readonly<Record<string, Float32Array>>;
  readonly best: {
    readonly accuracy: number;
    readonly loss: number;
    readonly tensors: QuantizerValues;
  };
}

/**
 * SmartDeal's training: coefficients and bases are what is trained, weights are rebuilt from them at each step, and zeros
 * stay. Keeps the best round on held-out images, as it is stored.
 *
 * @throws RangeError when the visits are too few for a step in each round
 */
export async function trainSwitched(
  laboratory: Laboratory,
  options: ProjectionOptions,
): Promise<Found> {
  const { rounds, descent: rule, epoch, note, prepare, parameters, sites } = laboratory;
  const judge = judgeOf(laboratory, prepare({ by: [], training: false }));
  const { most, steps } = roundsWithin(laboratory);
  const train = prepare({ by: trainedNames(laboratory), training: true });
  const { stored } = projectAll(sites, parameters, options);
  const layers = sites.flatMap((site): Layer[] => {
    const form = site.role === "weight" ? blockForm(site) : undefined;
    return form === undefined || stored[nameAt(site, STORED)] === undefined ? [] : [{ site, form }];
  });
  const judged = async (tensors: QuantizerValues) => {
    const asStored = storedTensors(layers, tensors);
    const score = await judge(onlyOf(asStored, parameters));
    note({ policy: {}, ...score });
    return { ...score, tensors: asStored };
  };
  const first = async (): Promise<State> => {
    const tensors = rebuiltAll(layers, { ...parameters, ...firstParts(layers, stored) });
    return { descent: startDescent(tensors), counters: {}, best: await judged(tensors) };
  };
  const { best } = await rounds("epochs of sign-switch training", first, {
    most,
    async round({ descent, counters, best: before }, index) {
      let [current, counted] = [descent, counters];
      let step = index * steps;
      for (const batch of firstOf(epoch(`switching ${String(index)}`), steps)) {
        const left = 1 - step++ / (most * steps);
        const { gradients, statistics } = await train(onlyOf(current.tensors, parameters), batch);
        const slopes = byParts(layers, current.tensors, gradients);
        const moved = descend(current, slopes, { ...rule, rate: rule.rate * left });
        const switched = switchAll(layers, current.tensors, moved.tensors, {
          ...{ counters: counted, share: COUNTED * left },
        });
        counted = switched.counters;
        const tensors = { ...moved.tensors, ...statistics, ...switched.coefficients };
        current = { ...moved, tensors: rebuiltAll(layers, tensors) };
      }
      const found = await judged(current.tensors);
      return {
        descent: current,
        counters: counted,
        best: isBetter(found, before) ? found : before,
      };
    },
  });
  return { policy: {}, tensors: best.tensors };
}

const onlyOf = (tensors: QuantizerValues, names: QuantizerValues): QuantizerValues =>
  Object.fromEntries(Object.keys(names).map((name) => [name, existing(tensors, name)]));

/** Coefficients and bases of all layers, in the order of rows. */
function firstParts(layers: readonly Layer[], stored: QuantizerValues): QuantizerValues {
  const found: Record<string, QuantizerValue> = {};
  for (const layer of layers) {
    const bytes = Uint8Array.from(existing(stored, nameAt(layer.site, STORED)).data);
    const blocks = decodeBlocks(layer.form, bytes);
    const coefficients = blocks.flatMap((block) => [...block.coefficients]);
    const basis = blocks.flatMap((block) => [...block.basis].map((x) => x * 2 ** block.exponent));
    found[partOf(layer, "coefficients")] = vector(Float32Array.from(coefficients));
    found[partOf(layer, "basis")] = vector(Float32Array.from(basis));
  }
  return found;
}

/** Each row of three times its block's basis, or its transpose. */
function throughBasis(
  { blocks }: BlockForm,
  rows: ArrayLike<number>,
  basis: ArrayLike<number>,
  transposed = false,
): Float64Array {
  const result = new Float64Array(rows.length);
  let row = 0;
  blocks.forEach((count, block) => {
    for (const end = row + count; row < end; row++)
      for (let out = 0; out < ORDER; out++)
        for (let k = 0; k < ORDER; k++) {
          const cell = transposed ? out * ORDER + k : k * ORDER + out;
          const factor = basis[block * CELLS + cell] ?? NaN;
          result[row * ORDER + out] =
            (result[row * ORDER + out] ?? 0) + (rows[row * ORDER + k] ?? NaN) * factor;
        }
  });
  return result;
}

/** Gradients by coefficients (dL/dW B^T, 0 where they stay 0) and by bases (C^T dL/dW) in place of kernels'. */
export function byParts(
  layers: readonly Layer[],
  tensors: QuantizerValues,
  gradients: QuantizerValues,
): QuantizerValues {
  const kernels = new Set(layers.map(({ site }) => site.id));
  const found: Record<string, QuantizerValue> = Object.fromEntries(
    Object.entries(gradients).filter(([name]) => !kernels.has(name)),
  );
  for (const layer of layers) {
    const { site, form } = layer;
    const { data: coefficients } = existing(tensors, partOf(layer, "coefficients"));
    const { data: basis } = existing(tensors, partOf(layer, "basis"));
    const slopes = toRows(form, existing(gradients, site.id).data);
    const byCoefficients = throughBasis(form, slopes, basis, true);
    found[partOf(layer, "coefficients")] = vector(
      Float32Array.from(byCoefficients, (slope, i) => (coefficients[i] === 0 ? 0 : slope)),
    );
    const byBasis = new Float32Array(basis.length);
    let row = 0;
    form.blocks.forEach((count, block) => {
      for (const end = row + count; row < end; row++)
        for (let cell = 0; cell < CELLS; cell++) {
          const [k, out] = [Math.floor(cell / ORDER), cell % ORDER];
          const at = block * CELLS + cell;
          const slope = slopes[row * ORDER + out] ?? NaN;
          byBasis[at] = (byBasis[at] ?? 0) + (coefficients[row * ORDER + k] ?? NaN) * slope;
        }
    });
    found[partOf(layer, "basis")] = vector(byBasis);
  }
  return found;
}

/** Weights of all layers from their coefficients and bases. */
function rebuiltAll(layers: readonly Layer[], tensors: QuantizerValues): QuantizerValues {
  const found: Record<string, QuantizerValue> = { ...tensors };
  for (const layer of layers) {
    const { data: coefficients } = existing(tensors, partOf(layer, "coefficients"));
    const { data: basis } = existing(tensors, partOf(layer, "basis"));
    const data = toKernel(layer.form, throughBasis(layer.form, coefficients, basis));
    found[layer.site.id] = { shape: layer.site.shape, data };
  }
  return found;
}

/** Coefficients of all layers after a step of the optimizer, and what was counted. */
function switchAll(
  layers: readonly Layer[],
  before: QuantizerValues,
  after: QuantizerValues,
  { counters, share }: { readonly counters: State["counters"]; readonly share: number },
): { readonly coefficients: QuantizerValues; readonly counters: State["counters"] } {
  const found: Record<string, QuantizerValue> = {};
  const counted: Record<string, Float32Array> = {};
  for (const layer of layers) {
    const name = partOf(layer, "coefficients");
    const { data: coefficients } = existing(before, name);
    const wanted = existing(after, name).data;
    // In sizes of the coefficient, so that one threshold suits all.
    const steps = coefficients.map((value, i) =>
      value === 0 ? 0 : ((wanted[i] ?? NaN) - value) / Math.abs(value),
    );
    const switched = signSwitch(
      {
        ...{ coefficients, steps, mask: coefficients.map((value) => Number(value !== 0)) },
        counters: counters[name] ?? new Float32Array(coefficients.length),
      },
      {
        ...{ threshold: exceededBy(steps, share), bar: BAR },
        ...{ smallest: 2 ** (1 - STORED_EXPONENTS), largest: 1 },
      },
    );
    found[name] = vector(switched.coefficients);
    counted[name] = switched.counters;
  }
  return { coefficients: found, counters: counted };
}

/** What so large a share of numbers exceeds in magnitude. */
function exceededBy(values: Float32Array, share: number): number {
  const magnitudes = values.map(Math.abs).sort();
  const count = Math.floor(share * values.length);
  return magnitudes[magnitudes.length - 1 - count] ?? Infinity;
}

/** Parameters of the network with weights as their bytes have them, and the bytes. */
function storedTensors(layers: readonly Layer[], tensors: QuantizerValues): QuantizerValues {
  const parts = new Set(layers.flatMap((layer) => PARTS.map((part) => partOf(layer, part))));
  const found: Record<string, QuantizerValue> = Object.fromEntries(
    Object.entries(tensors).filter(([name]) => !parts.has(name)),
  );
  for (const layer of layers) {
    const { site, form } = layer;
    const { data: coefficients } = existing(tensors, partOf(layer, "coefficients"));
    const { data: basis } = existing(tensors, partOf(layer, "basis"));
    let row = 0;
    const blocks = form.blocks.map((count, block) =>
      toStored(
        Float64Array.from(coefficients.subarray(row * ORDER, (row += count) * ORDER)),
        Float64Array.from(basis.subarray(block * CELLS, (block + 1) * CELLS)),
      ),
    );
    const bytes = encodeBlocks(blocks);
    found[nameAt(site, STORED)] = vector(Float32Array.from(bytes));
    found[site.id] = { shape: site.shape, data: rebuiltKernel(form, decodeBlocks(form, bytes)) };
  }
  return found;
}
