import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The built files, also where this module runs from its source.
const read = (name: string) =>
  readFileSync(
    createRequire(import.meta.url).resolve(`#package/dist/pipelines/engine/portable/${name}.wasm`),
  );

/** Functions of the kernels that operations call: addresses, sizes and a few numbers. */
export type KernelName =
  | "adderForward"
  | "adderInputGradient"
  | "convolve"
  | "convolveDepthwise"
  | "convolveFew"
  | "copyStrided"
  | "countIntegers"
  | "cumulate"
  | "depthwiseFilterGradient"
  | "fill"
  | "filterGradient"
  | "gather"
  | "logSoftmax"
  | "oneHot"
  | "packFilter"
  | "reduceRows"
  | "softmax"
  | "sumColumns";

export type Kernels = Readonly<Record<KernelName, (...values: number[]) => void>> &
  WebAssembly.Exports & { readonly heapBase: WebAssembly.Global };

const bytes = read("kernels");

/** Names the compiled kernels: part of what decides bits. */
export const kernelsHash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);

const modules = [bytes, read("adder")].map((file) => new WebAssembly.Module(file));

/** All kernels over one memory. */
export const kernelsOver = (memory: WebAssembly.Memory): Kernels =>
  Object.assign(
    {},
    ...modules.map((module) => new WebAssembly.Instance(module, { env: { memory } }).exports),
  ) as Kernels;
