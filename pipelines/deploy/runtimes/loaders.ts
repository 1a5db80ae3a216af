// What a runtime's own process needs, and nothing else: it is to start fast and to be small.
import { endsOf, sessionOptions, type Kernels } from "../../session.js";

/** A model in its runtime. */
export interface LoadedModel {
  /**
   * @param images [batch, channels, height, width] or, where the runtime has it so, channels last
   * @returns [batch, classes]
   */
  infer(images: Float32Array, batch: number): Promise<Float32Array>;
  /** Frees what it holds; it is not used again. */
  release(): Promise<void>;
}

export interface LoadOptions {
  /** [channels, height, width], or the shape of what is no image, without the batch. */
  readonly shape: readonly number[];
  /** Which output is wanted of a file from elsewhere, which has no second one as a proof. */
  readonly output?: string;
  /** Of onnxruntime. */
  readonly kernels: Kernels;
}
export type Loader = (model: Uint8Array, options: LoadOptions) => Promise<LoadedModel>;

/** What was computed has a second output that is 1 more; what lay in memory has not. */
function checkProof(logits: Float32Array, oneMore: Float32Array | undefined): void {
  const wrong = oneMore?.findIndex((value, i) => value !== Math.fround((logits[i] ?? NaN) + 1));
  if (wrong !== undefined && wrong >= 0)
    throw new Error(
      `logit ${String(wrong)} was not computed: it is ${String(logits[wrong])}, and with 1 added ${String(oneMore?.[wrong])}`,
    );
}

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
      release: () => session.release(),
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
      release: () => session.release(),
    };
  },

  /** LiteRT with XNNPACK, compiled to WebAssembly. */
  async litert(model, { shape, output: wanted }) {
    const { failOnComplaints, loadLiteRt } = await import("./loadLiteRt.js");
    const { loadAndCompile, Tensor } = await loadLiteRt();
    const compiled = await loadAndCompile(model, { accelerator: "wasm" });
    failOnComplaints();
    const [channels = 1, ...extent] = shape;
    const each = shape.length === 3 ? [...extent, channels] : shape;
    const names = compiled.getOutputDetails().map(({ name }) => name);
    const place = wanted === undefined ? 0 : names.indexOf(wanted);
    if (place < 0)
      throw new Error(`the model has no output "${String(wanted)}"; it has ${names.join(", ")}`);
    return {
      async infer(images, batch) {
        const input = new Tensor(images, [batch, ...each]);
        const outputs = await compiled.run(input);
        input.delete();
        failOnComplaints();
        const results = await Promise.all(
          outputs.map(async (output) => Float32Array.from((await output.data()) as Float32Array)),
        );
        for (const output of outputs) output.delete();
        const logits = results[place];
        if (logits === undefined) throw new Error("the model gave no output");
        if (wanted === undefined) checkProof(logits, results[1]);
        return logits;
      },
      release() {
        compiled.delete();
        return Promise.resolve();
      },
    };
  },
} satisfies Record<string, Loader>;
export type LoaderName = keyof typeof loaders;
