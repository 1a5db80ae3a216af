// TensorFlow.js as everything here imports it, as "#tf": the core, kernels in JavaScript, and what the core keeps
// apart, gradients and operations as methods of tensors. Those are ES modules in a CommonJS package, which
// Node cannot import, so that the build puts a bundle in the place of what is compiled from this file.
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js";
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";

export * from "@tensorflow/tfjs-core";
