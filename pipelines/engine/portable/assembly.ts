import type * as tf from "#tf";
import { sizeOf } from "../engine.js";
import type { Call, DataId, Program } from "../trace/program.js";
import { formulas, operandsOf } from "./formulas.js";
import type { KernelName } from "./kernels.js";
import type { Loop, Operand, Part } from "./loops.js";
import { Block } from "./memory.js";
import { mergedAxes, stridesOf } from "./strides.js";

type Info = tf.TensorInfo;

/** What an operation gets: a number, or the address of memory. */
export type Argument = number | Block | { readonly block: Block; readonly offset: number };

export type Operation =
  | { readonly kind: "kernel"; readonly name: KernelName; readonly arguments: readonly Argument[] }
  | { readonly kind: "loop"; readonly loop: Loop };

/** A tensor of the step. Those that are only another shape of one another are one value. */
interface Value {
  readonly size: number;
  /** What all of its elements are, where that is known before the step runs. */
  readonly number?: number | undefined;
  /** The same of elements that differ. */
  readonly host?: ArrayLike<number> | undefined;
  block?: Block;
  /** Its elements again and again until they are whole vectors. */
  pattern?: Block;
  /** The loop that will compute it, and its place there. */
  pending?: { readonly loop: PendingLoop; readonly index: number } | undefined;
}

interface PendingLoop extends Loop {
  readonly parts: Part[];
  readonly values: Value[];
}

/** Records a call by operations of the assembly. */
export type Assembler = (call: Call, assembly: Assembly) => void;

/** Loops longer than this are cut: they would need more registers than there are by far. */
const MOST_PARTS = 64;

/**
 * Turns recorded calls into operations over blocks of memory. Calls that compute element by element
 * wait: those of tensors of one size become one loop, in which values that nothing else needs are
 * never stored.
 */
export class Assembly {
  readonly operations: Operation[] = [];
  readonly blocks: Block[] = [];
  readonly constants: { readonly block: Block; readonly values: Float32Array | Int32Array }[] = [];
  readonly #assemblers: Readonly<Record<string, Assembler>>;
  readonly #hostOf: (info: Info) => ArrayLike<number> | undefined;
  readonly #values = new Map<DataId, Value>();
  readonly #users = new Map<Value, Set<Call>>();
  readonly #pending = new Map<number, PendingLoop>();
  readonly #integers = new Map<string, Block>();
  readonly #wanted = new Set<Value>();

  /** @param hostOf elements of a tensor that is known before the step runs */
  constructor(
    assemblers: Readonly<Record<string, Assembler>>,
    hostOf: (info: Info) => ArrayLike<number> | undefined,
  ) {
    this.#assemblers = assemblers;
    this.#hostOf = hostOf;
  }

  /** The memory of an input of the step. */
  input(info: Info): Block {
    const block = this.#newBlock(4 * sizeOf(info.shape), true);
    this.#values.set(info.dataId, { size: sizeOf(info.shape), block });
    return block;
  }

  /** @returns the memory of each output */
  assemble(program: Program, outputs: readonly Info[]): Block[] {
    const calls = program.calls.filter((call) => !this.#isKnown(call));
    for (const call of calls) {
      for (const info of Object.values(call.inputs)) {
        const value = this.#valueOf(info);
        const users = this.#users.get(value) ?? new Set();
        this.#users.set(value, users.add(call));
      }
    }
    const results = outputs.map((info) => this.#valueOf(program.resolve(info)));
    for (const value of results) this.#wanted.add(value);
    for (const call of calls) this.#record(call);
    const blocks = results.map((value) => this.#blockOf(value));
    for (const block of blocks) block.touch(this.operations.length);
    return blocks;
  }

  /** The memory that holds a tensor; computes it if it waits in a loop. */
  block(info: Info | undefined): Block {
    if (info === undefined) throw new TypeError("a kernel was recorded without an input");
    return this.#blockOf(this.#valueOf(info));
  }

  /** Memory for a result of the call. */
  result({ outputs }: Call, index = 0): Block {
    const info = outputs[index];
    if (info === undefined) throw new TypeError("a kernel was recorded without a result");
    const value = this.#valueOf(info);
    value.block ??= this.#newBlock(4 * value.size);
    return value.block;
  }

  /** Memory for the next operation only. */
  scratch(bytes: number): Block {
    return this.#newBlock(bytes);
  }

  /** A list of 32-bit integers that kernels read. */
  integers(values: readonly number[]): Block {
    const key = values.join();
    const known = this.#integers.get(key);
    if (known !== undefined) return known;
    const block = this.#newBlock(4 * values.length, true);
    this.constants.push({ block, values: Int32Array.from(values) });
    this.#integers.set(key, block);
    return block;
  }

  call(name: KernelName, ...given: readonly Argument[]): void {
    for (const argument of given) {
      if (argument instanceof Block) argument.touch(this.operations.length);
      else if (typeof argument !== "number") argument.block.touch(this.operations.length);
    }
    this.operations.push({ kind: "kernel", name, arguments: given });
  }

  /** Copies between layouts; strides and offsets count elements. */
  copy(shape: readonly number[], source: Place, target: Place): void {
    const axes = mergedAxes(shape, source.strides, target.strides);
    const list = this.integers(axes.flatMap(([size, from, to]) => [size, 4 * from, 4 * to]));
    const at = ({ block, offset = 0 }: Place) => ({ block, offset: 4 * offset });
    this.call("copyStrided", at(source), at(target), list, axes.length);
  }

  #newBlock(bytes: number, kept = false): Block {
    const block = new Block(bytes, kept);
    this.blocks.push(block);
    return block;
  }

  #valueOf(info: Info): Value {
    const known = this.#values.get(info.dataId);
    if (known !== undefined) return known;
    const host = this.#hostOf(info);
    const size = sizeOf(info.shape);
    const value: Value = host?.length === 1 ? { size, number: host[0] } : { size, host };
    this.#values.set(info.dataId, value);
    return value;
  }

  /** Whether a call gives what is there already, under another shape, or a number for all elements. */
  #isKnown({ kernel, inputs, attributes, outputs }: Call): boolean {
    const [output] = outputs;
    if (output === undefined) return true;
    if (this.#hostOf(output) !== undefined) return true;
    const number = { ZerosLike: 0, OnesLike: 1, Fill: attributes["value"] as number }[kernel];
    const source = Object.values(inputs)[0];
    if (number !== undefined) {
      this.#values.set(output.dataId, { size: sizeOf(output.shape), number });
    } else if (
      source !== undefined &&
      (VIEWS.includes(kernel) || keepsElements(source, output, kernel))
    ) {
      this.#values.set(output.dataId, this.#valueOf(source));
    } else {
      return false;
    }
    return true;
  }

  #record(call: Call): void {
    if (call.outputs.every(({ shape }) => sizeOf(shape) === 0)) return;
    if (formulas[call.kernel] !== undefined) {
      this.#append(call);
      return;
    }
    const assembler = this.#assemblers[call.kernel];
    if (assembler === undefined) {
      throw new Error(
        `The portable engine cannot compute the tfjs kernel "${call.kernel}"; add it under pipelines/engine/portable/.`,
      );
    }
    assembler(call, this);
  }

  /** Adds a call to the loop over tensors of its size. */
  #append(call: Call): void {
    const [output] = call.outputs as readonly [Info];
    const size = sizeOf(output.shape);
    const operands = operandsOf(call).map((info) => this.#operand(info, output, call));
    let loop = this.#pending.get(size);
    if (loop === undefined) {
      loop = { size, parts: [], values: [] };
      this.#pending.set(size, loop);
    }
    const value = this.#valueOf(output);
    value.pending = { loop, index: loop.parts.length };
    loop.parts.push({ call, operands });
    loop.values.push(value);
    if (loop.parts.length >= MOST_PARTS) this.#flush(loop);
  }

  #operand(info: Info, output: Info, call: Call): Operand {
    const value = this.#valueOf(info);
    const size = sizeOf(output.shape);
    if (value.number !== undefined) return { kind: "number", value: value.number };
    if (value.size === size) {
      return value.pending !== undefined
        ? { kind: "part", index: value.pending.index }
        : { kind: "elements", block: this.#blockOf(value) };
    }
    if (value.size === 1) return { kind: "scalar", block: this.#blockOf(value) };
    // tfjs also takes a vector of conditions, one for each entry of the first axis.
    const leads = call.kernel === "Select" && info.shape.length === 1 && output.shape.length > 1;
    const shape = leads
      ? [...info.shape, ...Array<number>(output.shape.length - 1).fill(1)]
      : [...Array<number>(output.shape.length - info.shape.length).fill(1), ...info.shape];
    const first = shape.findIndex((length) => length !== 1);
    if (shape.slice(first).join() === output.shape.slice(first).join()) {
      const block = this.#patternOf(value);
      return { kind: "pattern", block, period: patternLength(value.size) };
    }
    return { kind: "elements", block: this.repeated(this.#blockOf(value), shape, output.shape) };
  }

  /** A tensor whose axes of length 1 are repeated to those of a shape. */
  repeated(source: Block, from: readonly number[], shape: readonly number[]): Block {
    const target = this.#newBlock(4 * sizeOf(shape));
    const strides = stridesOf(from).map((stride, i) => (from[i] === 1 ? 0 : stride));
    this.copy(shape, { block: source, strides }, { block: target, strides: stridesOf(shape) });
    return target;
  }

  #patternOf(value: Value): Block {
    const block = this.#blockOf(value);
    const length = patternLength(value.size);
    if (length === value.size) return block;
    if (value.pattern === undefined) {
      value.pattern = this.#newBlock(4 * length);
      const shape = [length / value.size, value.size];
      this.copy(
        shape,
        { block, strides: [0, 1] },
        { block: value.pattern, strides: [value.size, 1] },
      );
    }
    return value.pattern;
  }

  #blockOf(value: Value): Block {
    if (value.pending !== undefined) this.#flush(value.pending.loop);
    if (value.block !== undefined) return value.block;
    if (value.host !== undefined) {
      value.block = this.#newBlock(4 * value.size, true);
      this.constants.push({ block: value.block, values: Float32Array.from(value.host) });
    } else {
      value.block = this.#newBlock(4 * value.size);
      if (value.number !== undefined) this.call("fill", value.block, value.size, value.number);
    }
    return value.block;
  }

  /** Makes a loop an operation; what others than its own parts read is stored. */
  #flush(loop: PendingLoop): void {
    this.#pending.delete(loop.size);
    const own = new Set(loop.parts.map(({ call }) => call));
    loop.values.forEach((value, i) => {
      value.pending = undefined;
      const users = [...(this.#users.get(value) ?? [])];
      const part = loop.parts[i];
      if (part === undefined || (!this.#wanted.has(value) && users.every((call) => own.has(call))))
        return;
      value.block = this.#newBlock(4 * value.size);
      value.block.touch(this.operations.length);
      part.target = value.block;
    });
    for (const { operands } of loop.parts) {
      for (const operand of operands) {
        if ("block" in operand) operand.block.touch(this.operations.length);
      }
    }
    this.operations.push({ kind: "loop", loop });
  }
}

/** Kernels that give the same elements in the same order. */
const VIEWS: readonly string[] = ["Identity", "Reshape", "ExpandDims"];

/** Truth and whole numbers are floats already. */
const keepsElements = (from: Info, to: Info, kernel: string): boolean =>
  kernel === "Cast" && (to.dtype === "float32" || (to.dtype === "int32" && from.dtype === "bool"));

/** The least number of elements of a pattern that is whole vectors. */
const patternLength = (size: number): number =>
  size % 4 === 0 ? size : size % 2 === 0 ? 2 * size : 4 * size;

/** Where elements lie: in a block, from an offset on, in elements. */
export interface Place {
  readonly block: Block;
  readonly offset?: number;
  readonly strides: readonly number[];
}
