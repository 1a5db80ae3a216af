import type { LoaderName, LoadOptions } from "./loaders.js";

/** What a runtime's process is asked, one thing after the other. */
export type RuntimeRequest =
  /** The next batch of the test set, for all models. */
  | { readonly type: "keep"; readonly images: Float32Array }
  | {
      readonly type: "load";
      readonly loader: LoaderName;
      readonly model: Uint8Array;
      readonly options: LoadOptions;
    }
  /** `images` or which of the kept batches; where they are fewer than `batch`, black ones follow. */
  | { readonly type: "infer"; readonly images: Float32Array | number; readonly batch: number }
  | {
      readonly type: "time";
      /** To go on for, once warm. */
      readonly milliseconds: number;
      readonly images: Float32Array;
    };

export type RuntimeAnswer =
  | { readonly type: "kept" }
  | { readonly type: "loaded" }
  /** `milliseconds` are those of the inference alone, `peakBytes` what loading and running took. */
  | {
      readonly type: "logits";
      readonly logits: Float32Array;
      readonly milliseconds: number;
      readonly peakBytes: number;
      /** Whether the process had computed for a while: WebAssembly is slow at first. */
      readonly warm: boolean;
    }
  | { readonly type: "times"; readonly milliseconds: readonly number[] }
  | { readonly type: "failed"; readonly message: string };
