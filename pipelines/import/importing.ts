import type { NodeProto } from "onnx-buf";
import { sizeOf, type HostTensor } from "../engine/index.js";
import { inputsOf, outputShape } from "../network/index.js";
import type { FeatureShape, NetworkNode } from "../../algorithms/network.js";
import { nodeTitle, type SourceModel } from "./readModel.js";
import {
  CHANNELS_FIRST,
  dimensionsOf,
  rowMajor,
  sameView,
  sizesOf,
  unnamedAxes,
  usualView,
  type Feature,
  type MadeSelection,
  type MovedBatch,
  type View,
} from "./feature.js";
import { readTensor, type Constant } from "./tensor.js";

/** What a name of the ONNX graph stands for while it is read. */
export type Value =
  { readonly kind: "constant"; readonly constant: Constant } | Feature | MovedBatch;

/** Values that a node may give for one image. */
const MAX_VALUES = 2 ** 26;

export interface Rearrangement {
  /** Axis i of what is reshaped is axis order[i] of the input. */
  readonly order: readonly number[];
  readonly shape: FeatureShape;
  /** Of the result. */
  readonly view: View;
}

/** Values of all constants that a graph computes, together. */
const MAX_MADE_VALUES = 2 ** 26;

/** A network that grows while an ONNX graph is read. */
export class Importing {
  readonly source: SourceModel;
  readonly nodes: NetworkNode[] = [];
  readonly parameters: Record<string, HostTensor> = {};
  readonly values = new Map<string, Value>();
  /** Convolutions that only select pixels and channels. */
  readonly selections = new Map<string, MadeSelection>();
  readonly #producers = new Map<string, NodeProto>();
  readonly #made = new Set<ArrayLike<number>>();
  #madeValues = 0;
  readonly #shapes = new Map<string, FeatureShape>();
  /** The last number that a name was given to make it another. */
  readonly #numbers = new Map<string, number>();
  readonly #readers = new Map<string, number>();
  /** What an ONNX name stands for the same node as, by Identity and the like. */
  readonly #aliases = new Map<string, string>();

  constructor(source: SourceModel) {
    this.source = source;
    for (const [name, constant] of source.constants) {
      this.#made.add(constant.data);
      this.values.set(name, { kind: "constant", constant });
    }
    for (const node of source.graph.node)
      for (const name of node.output) this.#producers.set(name, node);
    for (const name of [...source.graph.node.flatMap(({ input }) => input), source.output])
      this.#readers.set(name, (this.#readers.get(name) ?? 0) + 1);
  }

  /** Keeps what a name stands for. @param read the names that its node reads */
  define(name: string, value: Value, read: readonly string[]): void {
    if (value.kind === "constant") this.#count(value.constant);
    this.values.set(name, value);
    const same = read.find((input) => {
      const known = this.values.get(input);
      return value.kind === "feature" && known?.kind === "feature" && known.node === value.node;
    });
    if (same !== undefined) this.#aliases.set(name, same);
  }

  /** A graph of a few lines may double a constant with each. */
  #count({ data }: Constant): void {
    if (this.#made.has(data)) return;
    this.#made.add(data);
    this.#madeValues += data.length;
    if (this.#madeValues > MAX_MADE_VALUES)
      throw new RangeError(
        `the graph computes constants of more than the ${String(MAX_MADE_VALUES)} values accepted`,
      );
  }

  /** The ONNX node that gives a value. */
  producer(name = ""): NodeProto | undefined {
    return this.#producers.get(name);
  }

  /** @throws Error when there is no such node */
  shapeOf(node: string): FeatureShape {
    const shape = this.#shapes.get(node);
    if (shape === undefined) throw new Error(`there is no node "${node}"`);
    return shape;
  }

  /** Whether nothing but one node reads a value, so that it may be merged into that node. */
  isReadOnce(name: string): boolean {
    const original = this.#aliases.get(name);
    return this.#readers.get(name) === 1 && (original === undefined || this.isReadOnce(original));
  }

  /**
   * Adds a node.
   *
   * @param wanted the ONNX name of its value, which its own follows
   * @param view of the value, images with channels first unless given
   */
  add(wanted: string, make: (name: string) => NetworkNode, view?: View): Feature {
    const name = this.#freeName(wanted);
    const node = make(name);
    const shape = this.#shapeOf(node);
    this.nodes.push(node);
    this.#shapes.set(name, shape);
    const { axes, folded = 0 } = view ?? usualView(shape);
    return { kind: "feature", node: name, shape, axes, ...(folded > 0 && { folded }) };
  }

  /** The same values with axes in another order, and of another shape. */
  rearranged(wanted: string, x: Feature, to: Rearrangement): Feature {
    const { order, shape, view } = to;
    const moves = order.some((axis, i) => axis !== i) || shape.join() !== x.shape.join();
    if (!moves) return { kind: "feature", node: x.node, shape: x.shape, ...view };
    return this.add(
      wanted,
      (name) => ({
        ...{ op: "float", name, inputs: [x.node] },
        operation: { kind: "rearrange", order, shape },
      }),
      view,
    );
  }

  /** A value whose axes lie as the ONNX graph has them. */
  ordered(x: Feature): Feature {
    const { shape, view } = rowMajor(sizesOf(x), x.folded);
    const order = [...unnamedAxes(x), ...x.axes];
    return this.rearranged(`${x.node}.ordered`, x, { order, shape, view });
  }

  /** The last added node of a name, to be looked at or replaced. */
  find(name: string): NetworkNode | undefined {
    return this.nodes.find((node) => node.name === name);
  }

  /** Puts a changed node in the place of one of the same name. */
  replace(node: NetworkNode): FeatureShape {
    const index = this.nodes.findIndex(({ name }) => name === node.name);
    this.nodes[index] = node;
    const shape = this.#shapeOf(node);
    this.#shapes.set(node.name, shape);
    return shape;
  }

  remove(name: string): void {
    const index = this.nodes.findIndex((node) => node.name === name);
    this.nodes.splice(index, 1);
    this.#shapes.delete(name);
  }

  /** @param data kept as they are unless they are a constant's, which others may read */
  setParameter(name: string, shape: readonly number[], data: ArrayLike<number>): void {
    if (data.length !== sizeOf(shape))
      throw new RangeError(`"${name}" has ${String(data.length)} values for [${shape.join()}]`);
    const isOwn = data instanceof Float32Array && !this.#made.has(data);
    this.parameters[name] = {
      ...{ dtype: "float32", shape },
      data: isOwn ? data : Float32Array.from(data),
    };
  }

  parameterData(name: string): Float32Array {
    const data = this.parameters[name]?.data;
    if (!(data instanceof Float32Array)) throw new Error(`"${name}" was not read`);
    return data;
  }

  /** @throws RangeError when the shape is not one, or so large that it could not be computed */
  #shapeOf(node: NetworkNode): FeatureShape {
    const shape = outputShape(
      node,
      inputsOf(node).map((input) => this.#shapes.get(input) ?? []),
    );
    const possible = shape.every((size) => Number.isSafeInteger(size) && size > 0);
    if (!possible || sizeOf(shape) > MAX_VALUES)
      throw new RangeError(
        `gives [${shape.join()}] for one image; at most ${String(MAX_VALUES)} values are accepted`,
      );
    return shape;
  }

  /** Slashes and colons separate parameters and sites from nodes, so names have none. */
  #freeName(wanted: string): string {
    const plain =
      wanted
        .replace(/_output_0$/, "")
        .replace(/[^\w.-]+/g, ".")
        .replace(/^\.+|\.+$/g, "") || "node";
    let name = plain;
    let number = this.#numbers.get(plain) ?? 1;
    while (this.#shapes.has(name)) name = `${plain}.${String(++number)}`;
    this.#numbers.set(plain, number);
    return name;
  }
}

/** A node of the ONNX graph, with what it reads. */
export class Source {
  readonly importing: Importing;
  readonly node: NodeProto;

  constructor(importing: Importing, node: NodeProto) {
    this.importing = importing;
    this.node = node;
  }

  get opset(): number {
    return this.importing.source.opset;
  }

  /** The ONNX name of the first result. */
  get output(): string {
    return this.node.output[0] ?? "";
  }

  fail(what: string): never {
    throw new Error(`${nodeTitle(this.node)} ${what}`);
  }

  has(index: number): boolean {
    return (this.node.input[index] ?? "") !== "";
  }

  input(index: number): Value {
    const name = this.node.input[index] ?? "";
    const value = this.importing.values.get(name);
    return value ?? this.fail(`has no input ${String(index)} ("${name}")`);
  }

  /** A constant, or a computed value with the batch in front. */
  operand(index: number): Exclude<Value, MovedBatch> {
    const value = this.input(index);
    if (value.kind !== "moved") return value;
    return this.fail(
      `reads a tensor whose batch is axis ${String(value.batchAt)}; only parts are taken of such`,
    );
  }

  feature(index: number): Feature {
    const value = this.operand(index);
    return value.kind === "feature"
      ? value
      : this.fail(`needs a computed value as input ${String(index)}, not a ${value.kind}`);
  }

  /** An image, brought into the order of ONNX's convolutions where it is in another one. */
  image(index: number): Feature {
    const x = this.feature(index);
    if (x.shape.length === 3 && sameView(x, CHANNELS_FIRST)) return x;
    const dimensions = dimensionsOf(x);
    const [channels = 1, height = 1, width = 1] = dimensions;
    if (dimensions.length !== 3 || x.folded !== undefined)
      return this.fail(
        `needs a batch of images with 4 axes; it reads [${["batch", ...dimensions].join()}]`,
      );
    const [first = 0, second = 0, third = 0] = x.axes;
    return this.importing.rearranged(`${x.node}.image`, x, {
      order: [...unnamedAxes(x), second, third, first],
      shape: [height, width, channels],
      view: CHANNELS_FIRST,
    });
  }

  constant(index: number): Constant {
    const value = this.input(index);
    return value.kind === "constant"
      ? value.constant
      : this.fail(
          `needs a constant as input ${String(index)}: computed weights and shapes are not supported, nor is a network that is quantized already`,
        );
  }

  optionalConstant(index: number): Constant | undefined {
    return this.has(index) ? this.constant(index) : undefined;
  }

  int(name: string, otherwise: number): number {
    const found = this.#attribute(name);
    return found === undefined ? otherwise : Number(found.i);
  }

  float(name: string, otherwise: number): number {
    return this.#attribute(name)?.f ?? otherwise;
  }

  text(name: string, otherwise: string): string {
    const found = this.#attribute(name);
    return found === undefined ? otherwise : new TextDecoder().decode(found.s);
  }

  ints(name: string): number[] | undefined {
    return this.#attribute(name)?.ints.map(Number);
  }

  floats(name: string): readonly number[] | undefined {
    return this.#attribute(name)?.floats;
  }

  tensor(name: string): Constant | undefined {
    const found = this.#attribute(name)?.t;
    return found && readTensor(found, this.importing.source.readExternal);
  }

  hasAttribute(name: string): boolean {
    return this.#attribute(name) !== undefined;
  }

  #attribute(name: string) {
    return this.node.attribute.find((attribute) => attribute.name === name);
  }
}

/** What an operator of the ONNX graph becomes: the value of its first output, or of each. */
export type OperatorReader = (source: Source) => Value | readonly Value[];
export type OperatorReaders = Readonly<Record<string, OperatorReader>>;

export const constantValue = (
  shape: readonly number[],
  data: ArrayLike<number>,
  integer = false,
): Value => ({ kind: "constant", constant: { shape, data, integer } });
