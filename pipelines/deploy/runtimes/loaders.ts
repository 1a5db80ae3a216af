// What a runtime's own process needs, and nothing else: it is to start fast and to be small.
import { endsOf, sessionOptions, type Kernels } from "../../session.js";

/** A model in its runtime. */
export interface LoadedModel {
  /**
   * @param images [batch, channels, height, width] or, where the runtime has it so, channels last
   * @returns [batch, classes]
   */
  infer(images: Float32Array, batch: number): Promise<Float32Array>;
}

export interface LoadOptions {
  /** [channels, height, width] */
  readonly shape: readonly number[];
  /** Of onnxruntime. */
  readonly kernels: Kernels;
}
export type Loader = (model: Uint8Array, options: LoadOptions) => Promise<LoadedModel>;

/** Programs that execute models, by name; each is loaded when it is asked for. */
export const loaders = {
  /** onnxruntime's native library. */
  async native(model, { shape, kernels }) {
    const ort = await import("../../onnxruntime.js");
    const session = await ort.InferenceSession.create(model, sessionOptions(kernels));
    const { image, logits } = endsOf(session);
    return {
      async infer(images, batch) {
        const feeds = { [image]: new ort.Tensor("float32", images, [batch, ...shape]) };
        return (await session.run(feeds))[logits]?.data as Float32Array;
      },
    };
  },

  /** onnxruntime compiled to WebAssembly. */
  async web(model, { shape }) {
    const ort = await import("onnxruntime-web");
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = "error";
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    const { image, logits } = endsOf(session);
    return {
      async infer(images, batch) {
        const feeds = { [image]: new ort.Tensor("float32", images, [batch, ...shape]) };
        return (await session.run(feeds))[logits]?.data as Float32Array;
      },
    };
  },

  /** LiteRT with XNNPACK, compiled to WebAssembly. */
  async litert(model, { shape: [channels = 1, height = 1, width = 1] }) {
    const { failOnComplaints, loadLiteRt } = await import("./loadLiteRt.js");
    const { loadAndCompile, Tensor } = await loadLiteRt();
    const compiled = await loadAndCompile(model, { accelerator: "wasm" });
    failOnComplaints();
    return {
      async infer(images, batch) {
        const input = new Tensor(images, [batch, height, width, channels]);
        const [output] = await compiled.run(input);
        input.delete();
        failOnComplaints();
        if (output === undefined) throw new Error("the model gave no output");
        const logits = Float32Array.from((await output.data()) as Float32Array);
        output.delete();
        return logits;
      },
    };
  },
} satisfies Record<string, Loader>;
export type LoaderName = keyof typeof loaders;
