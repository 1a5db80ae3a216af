import type { FloatOperation } from "../../../algorithms/network.js";
import type { Constant } from "../tensor.js";
import type { Feature, OperatorReaders, Source, Value } from "../importing.js";

/** Activations, arithmetic, and what does nothing at inference. */
export const elementwise: OperatorReaders = {
  Relu: (source) => activation(source, "relu"),
  Clip: readClip,
  Sigmoid: (source) => float(source, { kind: "sigmoid" }),
  Tanh: (source) => float(source, { kind: "tanh" }),
  HardSwish: (source) => float(source, { kind: "hardSwish" }),
  HardSigmoid: (source) =>
    float(source, {
      kind: "hardSigmoid",
      alpha: source.float("alpha", 0.2),
      beta: source.float("beta", 0.5),
    }),
  LeakyRelu: (source) => float(source, { kind: "leakyRelu", slope: source.float("alpha", 0.01) }),
  Softmax(source) {
    const x = source.feature(0);
    const axis = source.int("axis", source.opset < 13 ? 1 : -1);
    const rank = x.shape.length + 1;
    const channelAxis = x.channelsLast ? rank - 1 : 1;
    // Before opset 13 all axes from the given one on were one: the same for features.
    if ((axis < 0 ? axis + rank : axis) !== channelAxis || (source.opset < 13 && rank > 2))
      source.fail(`is over axis ${String(axis)}; only the channels are supported`);
    return float(source, { kind: "softmax" });
  },
  Add: readAdd,
  Sum: readAdd,
  Sub(source) {
    const [a, b] = [source.input(0), source.input(1)];
    if (a.kind === "constant" && b.kind === "feature")
      return affine(source, b, { factor: () => -1, shift: perChannel(source, b, a.constant) });
    const x = source.feature(0);
    const shift = perChannel(source, x, source.constant(1));
    return affine(source, x, { factor: () => 1, shift: (channel) => -shift(channel) });
  },
  Mul(source) {
    const [a, b] = [source.input(0), source.input(1)];
    const [x, constant] = a.kind === "constant" ? [b, a] : [a, b];
    if (x.kind === "feature" && constant.kind === "constant") {
      const factor = perChannel(source, x, constant.constant);
      return affine(source, x, { factor, shift: () => 0 });
    }
    const [first, second] = [source.feature(0), source.feature(1)];
    if (first.channelsLast !== second.channelsLast)
      source.fail("multiplies images of different layouts");
    return source.importing.add(
      source.output,
      (name) => ({
        ...{ op: "float", name, operation: { kind: "mul" } },
        inputs: [first.node, second.node],
      }),
      first.channelsLast,
    );
  },
  Div(source) {
    const x = source.feature(0);
    const divisor = perChannel(source, x, source.constant(1));
    return affine(source, x, { factor: (channel) => 1 / divisor(channel), shift: () => 0 });
  },
  Identity: (source) => source.input(0),
  Dropout(source) {
    if ((source.node.output[1] ?? "") !== "") source.fail("gives its mask, which is not supported");
    return source.input(0);
  },
};

function activation(source: Source, op: "relu" | "relu6"): Feature {
  const x = source.feature(0);
  const producer = source.importing.find(x.node);
  if (
    op === "relu6" &&
    producer?.op === "relu" &&
    source.importing.isReadOnce(source.node.input[0] ?? "")
  ) {
    source.importing.replace({ ...producer, op }); // some write ReLU6 as both
    return x;
  }
  return source.importing.add(
    source.output,
    (name) => ({ op, name, input: x.node }),
    x.channelsLast,
  );
}

function float(source: Source, operation: FloatOperation): Feature {
  const x = source.feature(0);
  return source.importing.add(
    source.output,
    (name) => ({ op: "float", name, operation, inputs: [x.node] }),
    x.channelsLast,
  );
}

const LARGEST = 3.4e38;

function readClip(source: Source): Feature {
  const bound = (index: number, name: string, otherwise: number): number => {
    if (source.opset < 11) return source.float(name, otherwise);
    return source.optionalConstant(index)?.data[0] ?? otherwise;
  };
  const [min, max] = [bound(1, "min", -LARGEST), bound(2, "max", LARGEST)];
  if (min === 0 && max === 6) return activation(source, "relu6");
  if (min === 0 && max >= LARGEST) return activation(source, "relu");
  return float(source, {
    kind: "clip",
    min: Math.max(min, -LARGEST),
    max: Math.min(max, LARGEST),
  });
}

/** A constant that is added to or multiplied with every channel alike. */
function perChannel(source: Source, x: Feature, { shape, data }: Constant) {
  const channels = x.shape.at(-1) ?? 1;
  const rank = x.shape.length + 1;
  const axis = x.channelsLast || rank === 2 ? rank - 1 : 1;
  const aligned = [...Array.from({ length: rank - shape.length }, () => 1), ...shape];
  const fits =
    aligned.length === rank &&
    aligned.every((size, i) => size === 1 || (i === axis && size === channels));
  if (!fits)
    source.fail(
      `combines [${x.shape.join()}] with a constant of [${shape.join()}]; one value or one for each channel is supported`,
    );
  return (channel: number): number => data[data.length === 1 ? 0 : channel] ?? 0;
}

interface Affine {
  readonly factor: (channel: number) => number;
  readonly shift: (channel: number) => number;
}

function affine(source: Source, x: Feature, { factor, shift }: Affine): Feature {
  const { importing } = source;
  const channels = x.shape.at(-1) ?? 1;
  const feature = importing.add(
    source.output,
    (name) => ({
      ...{ op: "float", name, operation: { kind: "channelAffine" } },
      inputs: [x.node],
    }),
    x.channelsLast,
  );
  for (const [key, value] of Object.entries({ factor, shift }))
    importing.setParameter(
      `${feature.node}/${key}`,
      [channels],
      Float32Array.from({ length: channels }, (_, channel) => value(channel)),
    );
  return feature;
}

function readAdd(source: Source): Value {
  const { importing, node } = source;
  if (node.input.length === 1) return source.input(0);
  if (node.input.length > 2) {
    const parts = node.input.map((_, i) => source.feature(i));
    return parts.reduce((sum, part) => addFeatures(source, sum, part));
  }
  const [a, b] = [source.input(0), source.input(1)];
  if (a.kind === "feature" && b.kind === "feature") return addFeatures(source, a, b);
  const [x, constant, from] =
    a.kind === "constant"
      ? ([source.feature(1), source.constant(0), 1] as const)
      : ([source.feature(0), source.constant(1), 0] as const);
  const shift = perChannel(source, x, constant);
  const producer = importing.find(x.node);
  const layer = producer?.op === "conv2d" || producer?.op === "dense" ? producer : undefined;
  if (layer === undefined || !importing.isReadOnce(node.input[from] ?? ""))
    return affine(source, x, { factor: () => 1, shift });
  // A bias that is written as a sum.
  const channels = x.shape.at(-1) ?? 1;
  const name = `${layer.name}/bias`;
  const known = name in importing.parameters ? importing.parameterData(name) : undefined;
  importing.setParameter(
    name,
    [channels],
    Float32Array.from({ length: channels }, (_, i) => (known?.[i] ?? 0) + shift(i)),
  );
  if (layer.op === "conv2d") importing.replace({ ...layer, bias: true });
  return x;
}

function addFeatures(source: Source, a: Feature, b: Feature): Feature {
  if (a.shape.join() !== b.shape.join() || a.channelsLast !== b.channelsLast)
    source.fail(`adds [${a.shape.join()}] and [${b.shape.join()}]; shapes must be equal`);
  return source.importing.add(
    source.output,
    (name) => ({ op: "add", name, inputs: [a.node, b.node] }),
    a.channelsLast,
  );
}
