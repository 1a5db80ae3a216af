import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The built file, also where this module runs from its source.
const FILE = createRequire(import.meta.url).resolve(
  "#package/dist/pipelines/engine/portable/kernels.wasm",
);

/** Functions of the kernels that operations call: addresses, sizes and a few numbers. */
export type KernelName =
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

const bytes = readFileSync(FILE);

/** Names the compiled kernels: part of what decides bits. */
export const kernelsHash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);

export const kernelsModule = new WebAssembly.Module(bytes);
