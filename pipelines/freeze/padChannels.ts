import type { ChannelGroup } from "../../algorithms/laboratory.js";
import type { HostTensor } from "../engine/index.js";
import {
  channelGroups,
  consumersOf,
  findNode,
  isLayer,
  parameterSpecs,
  withFilters,
} from "../network/index.js";
import {
  isCodebook,
  type FrozenBatchNorm,
  type FrozenNetwork,
  type FrozenWeight,
} from "./freeze.js";

/** How many channels kernels want: so many or more, in whole multiples. */
export interface Padding {
  readonly least: number;
  readonly multipleOf: number;
}

/**
 * The network with more channels than it has, all of which are 0 and read with weights of 0, so that the values of the others do
 * not change. Channels that something else than convolutions, additions and pools counts or orders stay as they are.
 *
 * @returns undefined where no channels can be padded
 */
export function padChannels(
  frozen: FrozenNetwork,
  { least, multipleOf }: Padding,
): FrozenNetwork | undefined {
  const { network, sites } = frozen;
  const filters = Object.fromEntries(
    channelGroups(network)
      .filter((group) => canPad(frozen, group))
      .flatMap(({ convolutions, channels }) => {
        const count = multipleOf * Math.ceil(Math.max(least, channels) / multipleOf);
        return count === channels ? [] : convolutions.map((name) => [name, count] as const);
      }),
  );
  if (Object.keys(filters).length === 0) return undefined;
  const padded = withFilters({ network, sites }, filters);
  const [before, after] = [parameterSpecs(network), parameterSpecs(padded.network)];
  const shapesOf = (id: string): Shapes => ({
    from: before.get(id)?.shape ?? [],
    to: after.get(id)?.shape ?? [],
  });
  const channelsOf = (name: string) => after.get(`${name}/gamma`)?.shape[0] ?? NaN;
  const weights = [...frozen.weights].map(([id, weight]): [string, FrozenWeight] => {
    const axis = sites.find((site) => site.id === id)?.channelAxis ?? 0;
    return [id, paddedWeight(weight, shapesOf(id), axis)];
  });
  const kernels = [...frozen.kernels].map(([id, kernel]): [string, HostTensor] => {
    const shapes = shapesOf(id);
    const data = Float32Array.from(enlarged(kernel.data, shapes, () => 0));
    return [id, { dtype: "float32", shape: shapes.to, data }];
  });
  const biases = [...frozen.biases].map(([name, bias]): [string, Float32Array] => {
    const count = filters[name] ?? bias.length;
    return [name, extended(bias, count, 0)];
  });
  const batchNorms = [...frozen.batchNorms].map(([name, own]): [string, FrozenBatchNorm] => {
    const count = channelsOf(name);
    return [
      name,
      {
        gamma: extended(own.gamma, count, 1),
        beta: extended(own.beta, count, 0),
        mean: extended(own.mean, count, 0),
        variance: extended(own.variance, count, 1),
        epsilon: own.epsilon,
      },
    ];
  });
  return {
    ...frozen,
    ...padded,
    ...{ weights: new Map(weights), kernels: new Map(kernels) },
    ...{ biases: new Map(biases), batchNorms: new Map(batchNorms) },
  };
}

/** Whether channels of zeros can be added: nothing in float makes them something else, and all that reads them has weights of 0. */
function canPad({ network, weights, activations }: FrozenNetwork, group: ChannelGroup): boolean {
  if (group.fixedBy !== undefined) return false;
  const readers = group.nodes.flatMap((name) => consumersOf(network, name));
  const layers = [...group.nodes.map((name) => findNode(network, name)), ...readers];
  if (layers.some(({ op }) => op === "float")) return false;
  return (
    layers.filter(isLayer).every(({ name }) => {
      const on = weights.get(`${name}/kernel`)?.on;
      return on === undefined || !isCodebook(on) || on.levels.includes(0);
    }) &&
    group.nodes.every((name) => {
      const on = activations.get(name);
      return on === undefined || isCodebook(on) || on.scale.length === 1;
    })
  );
}

interface Shapes {
  readonly from: readonly number[];
  readonly to: readonly number[];
}

function paddedWeight({ on, codes }: FrozenWeight, shapes: Shapes, axis: number): FrozenWeight {
  if (isCodebook(on)) {
    const zero = on.levels.indexOf(0);
    return { on, codes: Int32Array.from(enlarged(codes, shapes, () => zero)) };
  }
  const channels = on.scale.length === 1 ? 1 : (shapes.to[axis] ?? 1);
  // Any step holds zeros; that of the last channel is none that a runtime would refuse.
  const scale = extended(on.scale, channels, on.scale.at(-1) ?? 1);
  const zeroPoint = extended(on.zeroPoint, channels, on.zeroPoint.at(-1) ?? 0);
  const inner = shapes.to.slice(axis + 1).reduce((a, b) => a * b, 1);
  const zeroAt = (place: number) => zeroPoint[Math.floor(place / inner) % channels] ?? 0;
  return { on: { scale, zeroPoint }, codes: Int32Array.from(enlarged(codes, shapes, zeroAt)) };
}

/** A tensor at the first places of a larger one. */
function enlarged(
  data: ArrayLike<number>,
  { from, to }: Shapes,
  fill: (place: number) => number,
): Float64Array {
  const result = Float64Array.from({ length: to.reduce((a, b) => a * b, 1) }, (_, i) => fill(i));
  for (let i = 0; i < data.length; i++) {
    let [rest, place, stride] = [i, 0, 1];
    for (let axis = from.length - 1; axis >= 0; axis--) {
      const length = from[axis] ?? 1;
      place += (rest % length) * stride;
      rest = Math.floor(rest / length);
      stride *= to[axis] ?? 1;
    }
    result[place] = data[i] ?? NaN;
  }
  return result;
}

function extended(values: Float32Array, count: number, fill: number): Float32Array {
  const result = new Float32Array(count).fill(fill);
  result.set(values);
  return result;
}
