import type * as tf from "#tf";
import * as ort from "../onnxruntime.js";
import type { Algorithm, QuantizerSite } from "../../algorithms/algorithm.js";
import type { IntegerArithmetic } from "../../backends/backend.js";
import {
  batchesInOrder,
  channelsFirst,
  type Dataset,
  imagePace,
  type ImageProgress,
} from "../train/index.js";
import { PartingCounter, type Partings } from "./divergence.js";
import { infer, loadModel } from "./inference.js";
import { SiteWatcher, type SiteStatistics } from "./siteWatcher.js";
import {
  type CompiledStep,
  type Engine,
  type HostTensor,
  type HostTensors,
  sizeOf,
  type StepFunction,
} from "../engine/index.js";
import { type FrozenNetwork, isCodebook, levelsOf } from "../freeze/index.js";
import { exportIntegers, exportOnnx, exposedName, NoForm } from "../export/index.js";
import { endsOf, type Kernels } from "../session.js";
import { asDeployed, featureShapes, forward } from "../network/index.js";

export interface Inspection {
  readonly images: number;
  /** Every site in the order of the network. */
  readonly sites: readonly SiteStatistics[];
  /** Images that the deployed network computes otherwise. */
  readonly partings: Partings;
  /** The same of the backend's own integer arithmetic, where the network has such a form. */
  readonly integersPartings?: Partings;
  /** Whether the graph that shows its activations gives the deployed one's logits, to the bit. */
  readonly isDeployedGraph: boolean;
}

/** Test images that are looked at, if the network's activations leave room for so many. */
const IMAGES = 128;
const BATCH = 32;
/** Values of a network's largest activation that a batch may have. */
const LARGEST_BATCH_VALUES = 4_000_000;
/** Values of all activations together that a batch of a large network may have. */
const LARGE_BATCH_VALUES = 2 ** 24;

interface InspectOptions {
  readonly algorithm: Algorithm;
  readonly tensors: HostTensors;
  readonly dataset: Dataset;
  /** That the network is deployed with. */
  readonly kernels: Kernels;
  readonly arithmetic?: IntegerArithmetic | undefined;
  readonly onImages?: (progress: ImageProgress) => void;
}

/**
 * Runs the quantized network and its export side by side and compares them tensor by tensor: where
 * ranges are clipped, where precision is lost, and which layer is the first to differ on the
 * runtime. What the runtime shows are its integers, next to which it fuses the same operators as
 * in the deployed network.
 *
 * @param frozen as it is exported, before channels are grouped by width
 */
export async function inspectSites(
  engine: Engine,
  frozen: FrozenNetwork,
  { algorithm, tensors, dataset, kernels, arithmetic, onImages }: InspectOptions,
): Promise<Inspection> {
  const { network } = frozen;
  const { batchSize, count } = inspectedImages(frozen);
  const images = Math.min(dataset.test.count, count);
  const step = simulation(frozen, algorithm);
  const session = await loadModel(exportOnnx(frozen, "inspection", { exposeSites: true }), kernels);
  const plain = await loadModel(exportOnnx(frozen, "deployed"), kernels);
  const { image, logits } = endsOf(session);
  const integers = await integerSession(frozen, arithmetic);
  const watched = inOrder(frozen).map((site) => new SiteWatcher(site, levelsOf(frozen, site)));
  const [partings, integersPartings] = [new PartingCounter(), new PartingCounter()];
  let isDeployedGraph = true;
  const told = imagePace(images, onImages);
  let done = 0;
  const compiled = new Map<number, CompiledStep>(); // by batch size: the last batch may be smaller
  try {
    for (const batch of batchesInOrder(dataset, { ...dataset.test, count: images }, batchSize)) {
      const inputs = { images: batch.images, ...tensors };
      const size = batch.labels.data.length;
      const known = compiled.get(size) ?? (await engine.compile(step, inputs));
      compiled.set(size, known);
      const simulated = await known.run(inputs);
      const { data, shape } = channelsFirst(batch.images);
      const pixels = new ort.Tensor("float32", data as Float32Array, shape);
      const deployed = await session.run({ [image]: pixels });
      const inIntegers = await integers?.run({ [image]: pixels });
      const causes: Record<"deployed" | "integers", Uint8Array[]> = { deployed: [], integers: [] };
      for (const watcher of watched) {
        const { id, role } = watcher.site;
        const [x, q] = [simulated[before(id)], simulated[after(id)]];
        if (x === undefined || q === undefined) throw new Error(`"${id}" was not quantized`);
        watcher.noise(x.data, q.data);
        if (role !== "activation") continue;
        const name = exposedName(network, id);
        const compared = { images: size, x: asOnnx(x), expected: asOnnx(q) };
        const found = realValues(deployed[name], frozen, watcher.site);
        if (found === undefined) throw new Error(`the export does not show "${id}"`);
        causes.deployed.push(watcher.deployed.compare({ ...compared, found }));
        const reference = realValues(inIntegers?.[name], frozen, watcher.site);
        if (reference !== undefined)
          causes.integers.push(watcher.integers.compare({ ...compared, found: reference }));
      }
      partings.add(causes.deployed);
      integersPartings.add(causes.integers);
      isDeployedGraph &&= areEqual(deployed[logits], await infer(plain, pixels));
      told((done += size));
    }
  } finally {
    for (const known of compiled.values()) await known.release();
    for (const one of [session, plain, integers]) await one?.release();
  }
  return {
    ...{ images, sites: watched.map((watcher) => watcher.result()) },
    ...{ partings: partings.result(), isDeployedGraph },
    ...(integers && { integersPartings: integersPartings.result() }),
  };
}

/** How many images are looked at, and how many at once: all their activations are there together. */
export function inspectedImages({ network, sites }: Pick<FrozenNetwork, "network" | "sites">): {
  readonly batchSize: number;
  readonly count: number;
} {
  const sizes = [...featureShapes(network).values()].map(sizeOf);
  const most = Math.max(1, Math.floor(LARGEST_BATCH_VALUES / Math.max(...sizes)));
  if (most >= BATCH) return { batchSize: BATCH, count: IMAGES };
  const activations = sites.filter(({ role }) => role === "activation");
  const each = activations.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const together = Math.max(1, Math.floor(LARGE_BATCH_VALUES / each));
  return { batchSize: Math.min(most, together), count: most * (IMAGES / BATCH) };
}

/** A step that gives every site's values before and after quantization. */
function simulation({ network, sites }: FrozenNetwork, algorithm: Algorithm): StepFunction {
  return ({ images, ...current }) => {
    if (images === undefined) throw new TypeError("inspection needs images");
    const results: Record<string, tf.Tensor> = {};
    const mode = asDeployed(algorithm, { network, sites }, current);
    forward(network, images, {
      parameters: current,
      training: false,
      bias: mode.bias,
      quantize(id, x, parameter) {
        const quantized = mode.quantize(id, x);
        if (parameter !== undefined) return quantized;
        results[before(id)] = x;
        results[after(id)] = quantized;
        return quantized;
      },
    });
    return results;
  };
}

/** Sites in the order of the network: weights where their layers are. */
function inOrder({ network, sites }: FrozenNetwork): QuantizerSite[] {
  const place = new Map(network.nodes.map(({ name }, index) => [name, index]));
  const placeOf = ({ id }: QuantizerSite) => place.get(id) ?? place.get(layerOf(id)) ?? 0;
  return sites.toSorted((a, b) => placeOf(a) - placeOf(b));
}

/** A tensor's values in the order of ONNX. */
const asOnnx = (tensor: HostTensor): ArrayLike<number> =>
  (tensor.shape.length === 4 ? channelsFirst(tensor) : tensor).data;

/** What a runtime shows of an activation; integers become what they stand for. */
function realValues(
  shown: ort.Tensor | undefined,
  frozen: FrozenNetwork,
  site: QuantizerSite,
): ArrayLike<number> | undefined {
  const data = shown?.data as ArrayLike<number> | undefined;
  if (data === undefined || data instanceof Float32Array) return data;
  const levels = levelsOf(frozen, site);
  if (isCodebook(levels)) throw new TypeError(`"${site.id}" has integers, but no equal steps`);
  const [scale = 1, zeroPoint = 0] = [levels.scale[0], levels.zeroPoint[0]];
  const values = new Float32Array(data.length); // from() with a function takes ten times as long
  for (let i = 0; i < values.length; i++) values[i] = ((data[i] ?? 0) - zeroPoint) * scale;
  return values;
}

function areEqual(a: ort.Tensor | undefined, b: Float32Array): boolean {
  const data = a?.data as ArrayLike<number> | undefined;
  return data?.length === b.length && b.every((value, i) => value === data[i]);
}

/** The network in its backend's integers, or nothing where it has no such form. */
async function integerSession(
  frozen: FrozenNetwork,
  arithmetic: IntegerArithmetic | undefined,
): Promise<ort.InferenceSession | undefined> {
  if (arithmetic === undefined) return undefined;
  try {
    const model = exportIntegers(frozen, "inspection", arithmetic, { exposeSites: true });
    return await loadModel(model, "shipped"); // no operator of it saturates
  } catch (error) {
    if (error instanceof NoForm) return undefined;
    throw error;
  }
}

const layerOf = (weightSite: string): string => weightSite.replace(/\/kernel$/, "");
const before = (id: string): string => `${id} before`;
const after = (id: string): string => `${id} after`;
