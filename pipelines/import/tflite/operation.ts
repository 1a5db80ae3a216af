import type { LiteGraph, LiteOperator, LiteTensor } from "./readTflite.js";
import type { Attributes } from "../../onnx/index.js";
import { FUSED_ACTIVATIONS } from "./schema.js";
import type { Translation } from "./translation.js";

/** Axes of an image with channels last, in the order of channels first, and back. */
const TO_FIRST = [0, 3, 1, 2];
const TO_LAST = [0, 2, 3, 1];

/** An operator of a TensorFlow Lite graph, while it is written in operators of ONNX. */
export class Operation {
  readonly #graph: LiteGraph;
  readonly #own: LiteOperator;
  readonly #to: Translation;

  constructor(graph: LiteGraph, own: LiteOperator, to: Translation) {
    this.#graph = graph;
    this.#own = own;
    this.#to = to;
  }

  fail(what: string): never {
    throw new Error(`${titleOf(this.#own, this.#graph)} ${what}`);
  }

  get inputCount(): number {
    return this.#own.inputs.length;
  }

  /** Names of all results. */
  get outputs(): readonly string[] {
    return this.#own.outputs.map((index) => this.#to.nameOf(index));
  }

  get output(): string {
    return this.outputs[0] ?? this.fail("gives nothing");
  }

  /** The shape that the file gives the result; -1 where it is open. */
  get outputShape(): readonly number[] {
    return this.#graph.tensors[this.#own.outputs[0] ?? -1]?.shape ?? [];
  }

  get outputType(): string {
    return this.#graph.tensors[this.#own.outputs[0] ?? -1]?.type ?? "";
  }

  has(index: number): boolean {
    return (this.#own.inputs[index] ?? -1) >= 0;
  }

  tensor(index: number): LiteTensor {
    const found = this.#graph.tensors[this.#own.inputs[index] ?? -1];
    return found ?? this.fail(`has no input ${String(index)}`);
  }

  /** @returns "" where it is left out */
  input(index: number): string {
    return this.has(index) ? this.#to.nameOf(this.#own.inputs[index] ?? -1) : "";
  }

  /** The shape that the file gives an input; -1 where it is open. */
  shape(index: number): readonly number[] {
    return this.tensor(index).shape;
  }

  isConstant(index: number): boolean {
    return this.has(index) && this.tensor(index).bytes.length > 0;
  }

  /** The numbers of a constant of int32 or int64. */
  integers(index: number): number[] {
    const { name, type, bytes } = this.tensor(index);
    const width = type === "int32" ? 4 : type === "int64" ? 8 : 0;
    if (width === 0 || bytes.length === 0 || bytes.length % width !== 0)
      this.fail(`needs constant integers as input ${String(index)} ("${name}")`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Array.from({ length: bytes.length / width }, (_, i) =>
      width === 4 ? view.getInt32(4 * i, true) : Number(view.getBigInt64(8 * i, true)),
    );
  }

  byte = (slot: number): number => this.#own.options?.byte(slot) ?? 0;
  int = (slot: number, otherwise = 0): number =>
    this.#own.options?.int(slot, otherwise) ?? otherwise;
  float = (slot: number): number => this.#own.options?.float(slot) ?? 0;
  ints = (slot: number): number[] => this.#own.options?.ints(slot) ?? [];
  flag = (slot: number): boolean => this.byte(slot) !== 0;

  /** A constant vector of whole numbers, by its name. */
  listed(values: readonly number[]): string {
    return this.#to.integers(`${this.output}/list`, values);
  }

  number(value: number): string {
    return this.#to.scalar(`${this.output}/number`, value);
  }

  /** A node of ONNX on the way to the result. @returns the name of its value */
  add(operator: string, inputs: readonly string[], attributes: Attributes = {}): string {
    const name = this.#to.freeName(`${this.output}/${operator}`);
    this.#node(operator, inputs, attributes, [name]);
    return name;
  }

  /** The node of ONNX that gives the results. */
  give(operator: string, inputs: readonly string[], attributes: Attributes = {}): void {
    this.#node(operator, inputs, attributes, this.outputs);
  }

  /** The same with an activation that is part of the operator. @param fused its number */
  giveActivated(
    fused: number,
    operator: string,
    inputs: readonly string[],
    attributes: Attributes = {},
  ): void {
    const activation = FUSED_ACTIVATIONS[fused];
    if (activation === "none") {
      this.give(operator, inputs, attributes);
      return;
    }
    this.activate(this.add(operator, inputs, attributes), activation);
  }

  /** Gives an activation of a value. */
  activate(value: string, activation: (typeof FUSED_ACTIVATIONS)[number] | undefined): void {
    if (activation === "relu") this.give("Relu", [value]);
    else if (activation === "relu6") this.clip(value, 0, 6);
    else if (activation === "reluN1To1") this.clip(value, -1, 1);
    else
      this.fail(
        `ends with the activation ${activation ?? "unknown"}; relu, relu6 and reluN1To1 are supported`,
      );
  }

  clip(value: string, low: number, high: number): void {
    this.give("Clip", [value, this.number(low), this.number(high)]);
  }

  /** An image with channels first, as convolutions and pools of ONNX take it. */
  channelsFirst(index: number): string {
    const rank = this.shape(index).length;
    if (rank !== 4)
      this.fail(`needs an image of 4 axes as input ${String(index)}, not ${String(rank)}`);
    return this.add("Transpose", [this.input(index)], { perm: TO_FIRST });
  }

  /** What an operator with channels first gives, with channels last and activated. */
  giveImage(
    fused: number,
    operator: string,
    inputs: readonly string[],
    attributes: Attributes = {},
  ): void {
    const image = this.#to.freeName(fused === 0 ? `${this.output}/` : `${this.output}/${operator}`);
    this.#node(operator, inputs, attributes, [image]);
    this.giveActivated(fused, "Transpose", [image], { perm: TO_LAST });
  }

  #node(
    operator: string,
    inputs: readonly string[],
    attributes: Attributes,
    outputs: readonly string[],
  ): void {
    const name = `${this.output} (${this.#own.name})`;
    this.#to.node({ operator, inputs, attributes, outputs, name });
  }
}

/** An operator and its result's name, for messages. */
export const titleOf = (own: LiteOperator, { tensors }: LiteGraph): string =>
  `${own.name} "${tensors[own.outputs[0] ?? -1]?.name ?? ""}"`;
