import {
  checkInputs,
  type CompiledStep,
  type HostTensor,
  type HostTensors,
  type Signature,
} from "../engine.js";
import type { Argument, Assembly } from "./assembly.js";
import { encodeModule } from "./encoder.js";
import { kernelsOver, type Kernels } from "./kernels.js";
import { Calls, writeLoop } from "./loops.js";
import { placeBlocks, type Block } from "./memory.js";

const PAGE_BYTES = 65536;
const MOST_PAGES = 65536;
/** Kernels and loops may read a little behind the last block. */
const SLACK = 256;
/** Whole numbers beyond have no float of their own. */
const LARGEST_INTEGER = 2 ** 24;

export interface Assembled {
  readonly assembly: Assembly;
  readonly inputs: Readonly<Record<string, Block>>;
  readonly outputs: Readonly<Record<string, Block>>;
  readonly signature: Signature;
  readonly results: Signature;
}

/** Puts an assembled step into WebAssembly. */
export function compileStep(assembled: Assembled): CompiledStep {
  const { assembly, inputs, outputs, signature, results } = assembled;
  const memory = takeMemory();
  const kernels = kernelsOver(memory);
  const end = placeBlocks(assembly.blocks, kernels.heapBase.value as number);
  grow(memory, end + SLACK);
  for (const { block, values } of assembly.constants) {
    if (values instanceof Float32Array)
      new Float32Array(memory.buffer).set(values, block.address / 4);
    else new Int32Array(memory.buffer).set(values, block.address / 4);
  }
  let operations = linked(assembly, memory, kernels);
  return {
    run(given) {
      checkInputs(given, signature);
      const values = new Float32Array(memory.buffer);
      for (const [name, block] of Object.entries(inputs)) {
        const data = given[name]?.data ?? [];
        if (data instanceof Int32Array) checkIntegers(name, data);
        values.set(data, block.address / 4);
      }
      for (const operation of operations) operation();
      const host: Record<string, HostTensor> = {};
      for (const [name, { shape, dtype }] of Object.entries(results)) {
        const address = (outputs[name]?.address ?? 0) / 4;
        const size = shape.reduce((a, b) => a * b, 1);
        const data = values.slice(address, address + size);
        host[name] = { shape, dtype, data: dtype === "int32" ? Int32Array.from(data) : data };
      }
      return Promise.resolve(host satisfies HostTensors);
    },
    release() {
      operations = [];
      free.push(memory);
      return Promise.resolve();
    },
  };
}

function checkIntegers(name: string, data: Int32Array): void {
  const beyond = data.find((value) => Math.abs(value) > LARGEST_INTEGER);
  if (beyond === undefined) return;
  throw new RangeError(
    `step input "${name}" has ${String(beyond)}; the portable engine takes whole numbers up to 2^24`,
  );
}

/** Each operation as a function without arguments. */
function linked(assembly: Assembly, memory: WebAssembly.Memory, kernels: Kernels): (() => void)[] {
  const calls = new Calls();
  const functions = assembly.operations.flatMap((operation, i) =>
    operation.kind === "loop" ? [writeLoop(String(i), operation.loop, calls)] : [],
  );
  const module = new WebAssembly.Module(encodeModule(calls.imports, functions));
  const { exports } = new WebAssembly.Instance(module, { env: { memory }, kernels });
  return assembly.operations.map((operation, i) => {
    if (operation.kind === "loop") return exports[String(i)] as () => void;
    const kernel = kernels[operation.name];
    const values = operation.arguments.map(valueOf);
    return () => {
      kernel(...values);
    };
  });
}

function valueOf(argument: Argument): number {
  if (typeof argument === "number") return argument;
  return "block" in argument ? argument.block.address + argument.offset : argument.address;
}

/** Memories of released steps: the next one takes the largest, instead of another one. */
const free: WebAssembly.Memory[] = [];

function takeMemory(): WebAssembly.Memory {
  free.sort((a, b) => a.buffer.byteLength - b.buffer.byteLength);
  return free.pop() ?? new WebAssembly.Memory({ initial: 1, maximum: MOST_PAGES });
}

function grow(memory: WebAssembly.Memory, bytes: number): void {
  const pages = Math.ceil(bytes / PAGE_BYTES);
  if (pages > MOST_PAGES) {
    throw new RangeError(
      `the step needs ${(bytes / 2 ** 30).toFixed(1)} GiB, and WebAssembly has at most 4; take a smaller batch`,
    );
  }
  const missing = pages - memory.buffer.byteLength / PAGE_BYTES;
  if (missing > 0) memory.grow(missing);
}
