// What JavaScript and generated loops call. Written in AssemblyScript; `npm run build` compiles it.
export { convolve, packFilter } from "./convolution";
export { convolveDepthwise, depthwiseFilterGradient } from "./depthwise";
export { convolveFew } from "./fewOutputs";
export { filterGradient } from "./filterGradient";
export { copyStrided, fill, gather, oneHot } from "./moving";
export { countIntegers, cumulate, logSoftmax, reduceRows, softmax, sumColumns } from "./reductions";
export { cos, erf, exp, expm1, log, log1p, pow, sigmoid, sin, softplus, tanh } from "./mathematics";

/** Where memory is free: behind what the kernels keep for themselves. */
export const heapBase: usize = __heap_base;
